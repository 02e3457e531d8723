"""Many runs by one command."""

import json
from pathlib import Path

import pytest

from tests.commandline.driving import CommandLine, Ended, assert_refused
from tests.waiting import until

pytestmark = pytest.mark.server

WORKFLOW = """
    cwlVersion: v1.2
    class: CommandLineTool
    baseCommand: [sh, -c, 'cat "$0" && exit $1']
    inputs:
      text: {type: File, inputBinding: {position: 1}}
      code: {type: int, default: 0, inputBinding: {position: 2}}
      words: {type: "string[]?"}
    outputs: {said: stdout}
    stdout: said.txt
    """


def batch(command: CommandLine, *arguments: str | Path) -> tuple[Ended, dict]:
    ended = command("run", "--outdir", command.outdir, "tool.cwl", *arguments)
    return ended, json.loads(ended.stdout)


def statuses(found: dict) -> dict[str, str]:
    return {name: each["status"] for name, each in found.items()}


@pytest.fixture
def prepared(command: CommandLine) -> CommandLine:
    command.write("tool.cwl", WORKFLOW)
    for name in ("a", "b", "c"):
        command.write(f"data/{name}.txt", name)
    return command


def test_each_job_order_is_a_run_and_only_what_is_missing_runs_again(prepared: CommandLine) -> None:
    for name in ("a", "b", "c"):
        prepared.write(f"inputs/{name}.yml", f"text: {{class: File, path: ../data/{name}.txt}}\n")
    failing = prepared.directory / "inputs" / "b.yml"
    good = failing.read_text()
    failing.write_text(good + "code: 3\n")

    ended, found = batch(prepared, "--batch", "inputs/a.yml", "inputs/b.yml", "inputs/c.yml")
    assert ended.code == 24
    assert statuses(found) == {"a": "completed", "b": "failed", "c": "completed"}
    assert "exited with code 3" in found["b"]["errors"][0]
    assert (prepared.outdir / "a" / "said.txt").is_file()
    assert "2 completed, 1 failed" in ended.stderr

    failing.write_text(good)
    ended, again = batch(prepared, "--batch", "inputs/*.yml")
    assert ended.code == 0
    assert statuses(again) == dict.fromkeys("abc", "completed")
    assert (again["a"]["run_id"], again["a"]["outputs"]) == (found["a"]["run_id"], found["a"]["outputs"])
    assert "2 of 3 runs are complete already" in ended.stderr


def test_each_row_of_a_table_is_a_run(prepared: CommandLine) -> None:
    prepared.write("data/samples.csv", "name,text,words\nfirst,a.txt,x;y\n,b.txt,\n")

    ended, found = batch(prepared, "--batch", "data/samples.csv")

    assert ended.code == 0, ended.stderr
    assert sorted(found) == ["first", "samples-2"]
    assert Path(found["first"]["outputs"]["said"]["path"]).read_text() == "a"


def test_nothing_starts_where_some_inputs_are_wrong(prepared: CommandLine) -> None:
    text = '{"text": {"class": "File", "path": "a.txt"}}\n{"text": 5}\n{"txt": "a"}\n'
    prepared.write("data/samples.jsonl", text)

    ended = prepared("run", "--outdir", prepared.outdir, "tool.cwl", "--batch", "data/samples.jsonl")

    assert_refused(ended, 11, "2 of 3 runs are wrong", "row 2", "row 3", "no input 'txt'", outdir=prepared.outdir)


def test_a_batch_that_was_killed_goes_on_with_the_runs_that_it_had_begun(command: CommandLine) -> None:
    began, go = command.directory / "began", command.directory / "go"
    command.write(
        "tool.cwl",
        f"""
        cwlVersion: v1.2
        class: CommandLineTool
        baseCommand: [sh, -c, "echo >> {began}; test -e {go} || sleep 60"]
        inputs: {{n: int}}
        outputs: []
        """,
    )
    command.write("rows.csv", "n\n1\n")
    given = ("run", "--outdir", command.outdir, "tool.cwl", "--batch", "rows.csv")
    killed = command.start(*given)
    until(began.exists, timeout_s=120)
    killed.kill()
    go.touch()

    ended = command(*given)

    assert ended.code == 0, ended.stderr
    assert "1 of 1 runs were killed or interrupted and go on" in ended.stderr
    assert began.read_text() == "\n\n"
    (found,) = json.loads(ended.stdout).values()
    audit = (command.home / "runs" / "audit.jsonl").read_text().splitlines()
    acts = [act["act"] for act in map(json.loads, audit) if act["run_id"] == found["run_id"]]
    assert acts[:2] == ["started", "resumed"]
