"""Job orders that do not fit, and flags that are wrong: refused before anything runs, each naming the input."""

import json
from pathlib import Path

import pytest

from tests.commandline.driving import CommandLine, assert_nothing_written, assert_refused

pytestmark = [pytest.mark.server, pytest.mark.standby]

TOOL = """
    cwlVersion: v1.2
    class: CommandLineTool
    baseCommand: echo
    inputs:
      message: {type: string, inputBinding: {}}
      count: int?
      data: File?
      folder: Directory?
      words: string[]?
      level: {type: ["null", {type: enum, symbols: [low, high]}]}
      point: {type: ["null", {type: record, fields: {x: int, y: int}}]}
    outputs:
      text: stdout
    stdout: text.txt
    """


@pytest.mark.parametrize(
    ("job_order", "texts"),
    [
        pytest.param("{}", ["required input message", "--message VALUE"], id="nothing-for-a-required-input"),
        pytest.param("message: 5", ["input message: expected string, found 5"], id="number-for-a-string"),
        pytest.param("message: x\ncount: many", ['input count: expected int, found "many"'], id="string-for-a-number"),
        pytest.param(
            "message: x\nwords: [a, 1]", ["input words: item 2: expected string, found 1"], id="item-of-an-array"
        ),
        pytest.param("message: x\nwords: a", ["input words: ", 'found "a"'], id="no-array"),
        pytest.param("message: x\nlevel: middle", ["input level: ", '"middle"'], id="no-symbol-of-an-enum"),
        pytest.param(
            "message: x\npoint: {x: 1}", ["input point: missing required field 'y'"], id="missing-field-of-a-record"
        ),
        pytest.param(
            "message: x\ndata: here.txt", ['input data: expected null or File, found "here.txt"'], id="text-for-a-file"
        ),
        pytest.param(
            "message: x\ndata: {class: File, path: nowhere.txt}",
            ["input data: File ", "nowhere.txt: no such file"],
            id="missing-file",
        ),
        pytest.param(
            "message: x\nfolder: {class: Directory, path: nowhere}",
            ["input folder: Directory ", "nowhere: no such file or directory"],
            id="missing-directory",
        ),
        pytest.param("message: x\ndata: {class: File, path: .}", ["input data: File "], id="directory-for-a-file"),
        pytest.param(
            "message: x\ndata: {class: Directory, path: .}", ["input data: expected"], id="wrong-class-of-file"
        ),
        pytest.param(
            'message: x\ndata: {class: File, location: "dos://host/key"}',
            ["input data: File dos://host/key: ", "cannot be read"],
            id="unknown-kind-of-location",
        ),
        pytest.param("message: [x", ["job.yml:1:12: not YAML: expected ',' or ']'"], id="not-yaml"),
        pytest.param("message: x\nmessage: y", ["job.yml:2:1: ", "duplicate key"], id="given-twice"),
        pytest.param('{"message": "x" "y"}', ["job.yml:1:17: "], id="not-json"),
        pytest.param("- message", ["job.yml: expected a mapping"], id="a-list"),
        pytest.param("hello", ["job.yml: expected a mapping"], id="a-text"),
    ],
)
def test_a_wrong_job_order_is_refused(command: CommandLine, job_order: str, texts: list[str]) -> None:
    command.write("tool.cwl", TOOL)
    command.write("job.yml", job_order)

    ended = command.run("tool.cwl", "job.yml")

    assert_refused(ended, 11, *texts, outdir=command.outdir)
    assert len(ended.stderr.splitlines()) <= 2


@pytest.mark.parametrize("verb", ["run", "validate"])
def test_a_misspelt_optional_input_is_told(command: CommandLine, verb: str) -> None:
    command.write(
        "document.cwl",
        """
        cwlVersion: v1.2
        class: CommandLineTool
        baseCommand: echo
        inputs: {message: {type: string?, inputBinding: {}}}
        outputs: []
        """,
    )
    command.write("inputs.yml", "mesage: hello\nunrelated: 5\nid: mine\n")
    arguments = ["--outdir", command.outdir] if verb == "run" else []

    ended = command(verb, *arguments, "document.cwl", "inputs.yml")

    assert ended.code == 0, ended.stderr
    assert "inputs.yml: there is no input 'mesage'; it is ignored. Did you mean 'message'?" in ended.stderr
    assert "there is no input 'unrelated'; it is ignored.\n" in ended.stderr
    assert "'id'" not in ended.stderr


def test_a_missing_job_order_is_refused(command: CommandLine) -> None:
    command.write("tool.cwl", TOOL)

    assert_refused(command.run("tool.cwl", "nowhere.yml"), 11, "nowhere.yml: No such file", outdir=command.outdir)


def test_a_job_order_that_is_not_text_is_refused(command: CommandLine) -> None:
    command.write("tool.cwl", TOOL)
    (command.directory / "job.yml").write_bytes(b"\xff\xfe\x00\x80")

    assert_refused(command.run("tool.cwl", "job.yml"), 11, "job.yml: ", "UTF-8", outdir=command.outdir)


def test_a_url_that_cannot_be_fetched_is_named_with_its_input(command: CommandLine) -> None:
    command.write("tool.cwl", TOOL)
    command.write("job.yml", 'message: x\ndata: {class: File, location: "http://127.0.0.1:1/data.txt"}')

    ended = command.run("tool.cwl", "job.yml")

    assert_refused(ended, 25, "tool.cwl:", "tool: input data: http://127.0.0.1:1/data.txt cannot be read")
    assert_nothing_written(command.outdir)


def test_validate_checks_a_job_order_without_running_it(command: CommandLine) -> None:
    command.write("tool.cwl", TOOL)
    command.write("job.yml", "message: 5")

    ended = command("validate", "tool.cwl", "job.yml")

    assert ended.code == 11
    assert "input message: expected string, found 5" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "texts"),
    [
        pytest.param(["--mesage", "hi"], ["--mesage", "did you mean --message?"], id="unknown-input"),
        pytest.param(["--message"], ["--message needs a value"], id="no-value"),
        pytest.param(["--message", "x", "--count", "many"], ["--count", "'many'"], id="wrong-type"),
        pytest.param(["one.yml", "two.yml"], ["'two.yml'"], id="two-job-orders"),
        pytest.param(["--message", "a", "--message", "b"], ["--message", "more than once"], id="given-twice"),
    ],
)
def test_a_wrong_flag_is_refused(command: CommandLine, arguments: list[str], texts: list[str]) -> None:
    command.write("tool.cwl", TOOL)

    assert_refused(command.run("tool.cwl", *arguments), 2, *texts, outdir=command.outdir)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        pytest.param(["--timeout", "-3"], "--timeout: ", id="timeout"),
        pytest.param(["--max-cores", "0"], "--max-cores: ", id="max-cores"),
        pytest.param(["--max-ram", "lots"], "--max-ram: 'lots'", id="max-ram"),
        pytest.param(["--parallel", "0"], "--parallel: ", id="parallel"),
        pytest.param(["--no-such-option"], "No such option: --no-such-option", id="unknown"),
    ],
)
def test_a_wrong_option_is_refused(command: CommandLine, arguments: list[str], text: str) -> None:
    command.write("tool.cwl", TOOL)

    assert_refused(command.run(*arguments, "tool.cwl", "--message", "x"), 2, text, outdir=command.outdir)


def test_a_wrong_setting_is_refused(command: CommandLine) -> None:
    command.write("tool.cwl", TOOL)

    ended = command.run("tool.cwl", "--message", "x", environment={"CWL_PREFECT_RETRIES": "often"})

    assert_refused(ended, 2, "CWL_PREFECT_RETRIES: ", "'often'", outdir=command.outdir)


def test_a_job_order_of_50_megabytes_works(command: CommandLine) -> None:
    command.write(
        "tool.cwl",
        """
        cwlVersion: v1.2
        class: ExpressionTool
        requirements: {InlineJavascriptRequirement: {}}
        inputs: {words: "string[]"}
        outputs: {first: string}
        expression: "$({first: 'taken'})"
        """,
    )
    Path(command.directory / "job.json").write_text(json.dumps({"words": ["x" * 1000] * 50_000}), encoding="utf-8")

    ended = command.run("tool.cwl", "job.json")

    if ended.code != 0:
        assert_refused(ended, ended.code, outdir=command.outdir)
        assert ended.code in (11, 14)
        assert "MiB" in ended.stderr
    assert ended.seconds < 120


def test_a_file_of_50_megabytes_in_a_job_order_is_passed_on(command: CommandLine) -> None:
    command.write(
        "tool.cwl",
        """
        cwlVersion: v1.2
        class: CommandLineTool
        baseCommand: ["true"]
        inputs: {words: "string[]", other: int}
        outputs: {text: stdout}
        """,
    )
    Path(command.directory / "job.json").write_text(
        json.dumps({"words": ["x" * 1000] * 50_000, "other": 1}), encoding="utf-8"
    )

    assert command.run("tool.cwl", "job.json").outputs["text"]
