"""What the command line can be told, and how a run is told about."""

import json
import re
import sqlite3
import textwrap
from pathlib import Path

import pytest

from tests.commandline.driving import CommandLine, assert_nothing_written, assert_refused

pytestmark = [pytest.mark.server, pytest.mark.standby]

ECHO = """
    cwlVersion: v1.2
    class: CommandLineTool
    doc: Says it.
    baseCommand: echo
    inputs:
      message: {type: string, doc: What to say., inputBinding: {position: 1}}
      times: {type: int, default: 1}
      loud: boolean?
      words: {type: "string[]?", inputBinding: {position: 2}}
      data: {type: File?, inputBinding: {position: 3, valueFrom: $(self.basename)}}
    outputs: {text: stdout}
    stdout: text.txt
    """
TWO_BRANCHES = """
    cwlVersion: v1.2
    class: Workflow
    inputs: []
    outputs:
      good: {type: File, outputSource: good/text}
      bad: {type: File, outputSource: after/text}
    steps:
      bad:
        run: {class: CommandLineTool, baseCommand: [sh, -c, "exit 7"], inputs: [], outputs: {text: stdout}}
        in: {}
        out: [text]
      after:
        run: {class: CommandLineTool, baseCommand: cat, inputs: {data: File}, outputs: {text: stdout}}
        in: {data: bad/text}
        out: [text]
      good:
        run:
          class: CommandLineTool
          baseCommand: [sh, -c, "sleep 1; echo fine"]
          inputs: []
          outputs: {text: stdout}
          stdout: good.txt
        in: {}
        out: [text]
    """


def text_of(found: object) -> str:
    assert isinstance(found, dict)
    return Path(str(found["location"]).removeprefix("file://")).read_text()


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:1", "socks5h://127.0.0.1:1"])
def test_the_local_server_is_reached_past_the_proxies_of_the_environment(command: CommandLine, proxy: str) -> None:
    document = command.write("echo.cwl", ECHO)
    proxies = {"http_proxy": proxy, "https_proxy": proxy, "ALL_PROXY": proxy, "no_proxy": "", "NO_PROXY": ""}
    ended = command.run("--backend", "local", document, "--message", "hi", environment=proxies)
    assert Path(str(ended.outputs["text"]["path"])).read_text() == "hi\n"
    listed = command("runs", "ls", "--json", environment=proxies)
    assert json.loads(listed.stdout)[0]["state"] == "Completed"


def test_stdout_is_the_output_object_and_nothing_else(command: CommandLine) -> None:
    command.write("tool.cwl", ECHO)

    ended = command.run("tool.cwl", "--message", "hi")

    text = ended.outputs["text"]
    assert isinstance(text, dict)
    assert text["basename"] == "text.txt"
    assert text["size"] == 3
    assert str(text["checksum"]).startswith("sha1$")
    assert "http://127.0.0.1:" in ended.stderr
    assert "warning" not in ended.stderr
    assert {path.name for path in command.outdir.iterdir()} == {"text.txt", "cwl-prefect-outputs.json"}


def test_quiet_says_nothing(command: CommandLine) -> None:
    command.write("tool.cwl", ECHO)

    ended = command.run("--quiet", "tool.cwl", "--message", "hi")

    assert ended.outputs
    assert ended.stderr == ""


def test_quiet_still_says_errors(command: CommandLine) -> None:
    command.write("tool.cwl", ECHO.replace("baseCommand: echo", "baseCommand: 'false'"))

    ended = command.run("--quiet", "tool.cwl", "--message", "hi")

    assert_refused(ended, 13, outdir=command.outdir)
    assert ended.stderr.startswith("Error: tool.cwl:4:1: tool failed: it exited with code 1")


def test_verbose_tells_what_the_tool_says(command: CommandLine) -> None:
    command.write("tool.cwl", ECHO.replace("baseCommand: echo", "baseCommand: [sh, -c, 'echo from the tool >&2']"))

    ended = command.run("--verbose", "tool.cwl", "--message", "hi")

    assert ended.outputs
    assert "from the tool" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_inputs_as_flags(command: CommandLine) -> None:
    command.write("tool.cwl", ECHO)
    command.write("some data.txt", "")

    flags = ["--message=-n", "--words", "a", "--words", "b c", "--data", "some data.txt", "--loud", "--times", "3"]
    ended = command.run("tool.cwl", *flags)

    assert text_of(ended.outputs["text"]) == "a b c some data.txt"


def test_flags_win_over_the_job_order(command: CommandLine) -> None:
    command.write("tool.cwl", ECHO)
    command.write("job.yml", "message: from the file\nwords: [kept]")

    ended = command.run("tool.cwl", "job.yml", "--message", "from the flag")

    assert text_of(ended.outputs["text"]) == "from the flag kept\n"


def test_help_of_a_document_shows_its_inputs(command: CommandLine) -> None:
    command.write("tool.cwl", ECHO)

    ended = command("run", "tool.cwl", "--help")

    assert ended.code == 0
    for text in (
        "--outdir",
        "Says it.",
        "--message",
        "What to say.",
        "[required]",
        "--loud/--no-loud",
        "string[]",
        "1",
    ):
        assert text in ended.stdout
    assert ended.stderr == ""


def test_help_of_a_wrong_document_is_an_error(command: CommandLine) -> None:
    command.write("tool.cwl", ECHO.replace("baseCommand", "baseComand"))

    ended = command("run", "tool.cwl", "--help")

    assert ended.code == 10
    assert "tool.cwl:4:1: unknown field 'baseComand'" in ended.stderr


def test_a_job_order_can_name_its_document(command: CommandLine) -> None:
    command.write("tools/tool.cwl", ECHO)
    command.write("jobs/job.yml", "cwl:tool: ../tools/tool.cwl\nmessage: hello")

    ended = command.run("jobs/job.yml")

    assert text_of(ended.outputs["text"]) == "hello\n"


def test_a_job_order_comes_from_the_standard_input(command: CommandLine) -> None:
    tool = command.write("echo.cwl", ECHO)
    command.write("in.txt", "hi")
    order = command.write("order.yml", "message: given\ndata: {class: File, path: in.txt}\n")
    with order.open() as given:
        ran = command.start("run", "--outdir", command.outdir, tool, "-", stdin=given.fileno()).ended()
    assert text_of(ran.outputs["text"]) == "given in.txt\n"


def test_a_job_order_that_names_a_missing_document(command: CommandLine) -> None:
    command.write("job.yml", "cwl:tool: nowhere.cwl\nmessage: hello")

    assert_refused(command.run("job.yml"), 10, "nowhere.cwl: no such file", outdir=command.outdir)


def test_requirements_of_a_job_order_apply(command: CommandLine) -> None:
    tool = ECHO.replace("baseCommand: echo", "baseCommand: [sh, -c, 'echo $GREETING']")
    command.write("tool.cwl", tool)
    requirements = "cwl:requirements:\n  - {class: EnvVarRequirement, envDef: {GREETING: from the job order}}\n"
    command.write("job.yml", f"{requirements}message: unused")

    ended = command.run("tool.cwl", "job.yml")

    assert text_of(ended.outputs["text"]) == "from the job order\n"
    without = command.run("tool.cwl", "--message", "x")
    assert text_of(without.outputs["text"]) == "\n"


def test_requirements_apply_where_the_job_order_names_its_document(command: CommandLine) -> None:
    tool = ECHO.replace("baseCommand: echo", "baseCommand: [sh, -c, 'echo $GREETING']")
    body = textwrap.indent(textwrap.dedent(tool).replace("cwlVersion: v1.2\n", "").strip(), "    ").lstrip()
    command.write("packed.cwl", f"cwlVersion: v1.2\n$graph:\n  - id: main\n    {body}\n")
    requirements = "cwl:requirements:\n  EnvVarRequirement: {envDef: {GREETING: hello}}\n"
    command.write("job.yml", f"cwl:tool: packed.cwl\n{requirements}message: unused")

    assert text_of(command.run("job.yml").outputs["text"]) == "hello\n"


def test_wrong_requirements_of_a_job_order_are_refused(command: CommandLine) -> None:
    command.write("tool.cwl", ECHO)
    command.write("job.yml", "cwl:requirements: lots\nmessage: hello")

    assert_refused(command.run("tool.cwl", "job.yml"), 11, "cwl:requirements", 'found "lots"', outdir=command.outdir)


def test_unknown_requirements_of_a_job_order_are_unsupported(command: CommandLine) -> None:
    command.write("tool.cwl", ECHO)
    command.write("job.yml", "cwl:requirements: {MagicRequirement: {}}\nmessage: hello")

    assert_refused(command.run("tool.cwl", "job.yml"), 33, "'MagicRequirement'", outdir=command.outdir)


def test_overrides_reach_a_step(command: CommandLine) -> None:
    command.write("tool.cwl", ECHO.replace("baseCommand: echo", "baseCommand: [sh, -c, 'echo $GREETING']"))
    command.write(
        "workflow.cwl",
        """
        cwlVersion: v1.2
        class: Workflow
        inputs: {message: string}
        outputs: {text: {type: File, outputSource: say/text}}
        steps: {say: {run: tool.cwl, in: {message: message}, out: [text]}}
        """,
    )
    override = "cwltool:overrides: {tool.cwl: {requirements: {EnvVarRequirement: {envDef: {GREETING: reached}}}}}"
    command.write("job.yml", f"{override}\nmessage: unused")

    assert text_of(command.run("workflow.cwl", "job.yml").outputs["text"]) == "reached\n"


def test_stop_publishes_nothing(command: CommandLine) -> None:
    command.write("workflow.cwl", TWO_BRANCHES)

    ended = command.run("workflow.cwl")

    assert_refused(ended, 13, "Error: workflow.cwl:9:35: bad failed: it exited with code 7", outdir=command.outdir)


def test_continue_publishes_what_there_is(command: CommandLine) -> None:
    command.write("workflow.cwl", TWO_BRANCHES)

    ended = command.run("--on-error", "continue", "workflow.cwl")

    assert ended.code == 24
    outputs = json.loads(ended.stdout)
    assert outputs["bad"] is None
    assert text_of(outputs["good"]) == "fine\n"
    assert "Error: workflow.cwl:9:35: bad failed: it exited with code 7" in ended.stderr
    assert ended.stderr.count("Error: ") == 1
    assert (command.outdir / "good.txt").is_file()


@pytest.mark.parametrize("threshold", [100, 1], ids=["apart", "grouped"])
def test_continue_publishes_what_a_scatter_gave_and_resuming_adds_the_rest(
    command: CommandLine, threshold: int
) -> None:
    mark, ran = command.directory / "mended", command.directory / "ran"
    script = f"echo $0 >> {ran}; test $0 != b || test -e {mark} || exit 7; echo $0"
    command.write(
        "scatter.cwl",
        f"""
        cwlVersion: v1.2
        class: Workflow
        requirements: {{ScatterFeatureRequirement: {{}}}}
        inputs: {{}}
        outputs: {{each: {{type: "File[]", outputSource: each/text}}, all: {{type: File, outputSource: all/text}}}}
        steps:
          each:
            run:
              class: CommandLineTool
              baseCommand: [sh, -c, "{script}"]
              inputs: {{word: {{type: string, inputBinding: {{}}}}}}
              outputs: {{text: stdout}}
              stdout: $(inputs.word).txt
            scatter: word
            in: {{word: {{default: [a, b, c]}}}}
            out: [text]
          all:
            run:
              class: CommandLineTool
              baseCommand: cat
              inputs: {{data: {{type: "File[]", inputBinding: {{}}}}}}
              outputs: {{text: stdout}}
              stdout: all.txt
            in: {{data: each/text}}
            out: [text]
        """,
    )
    name = f"partial-{threshold}"

    ended = command.run(
        *("--on-error", "continue", "--name", name, "scatter.cwl"),
        environment={"CWL_PREFECT_GROUP_THRESHOLD": str(threshold)},
    )

    assert ended.code == 24, ended.stderr
    outputs = json.loads(ended.stdout)
    assert outputs["all"] is None
    assert [found and text_of(found) for found in outputs["each"]] == ["a\n", None, "c\n"]
    assert {path.name for path in command.outdir.glob("*.txt")} == {"a.txt", "c.txt"}
    assert ended.stderr.count("Error: ") == 1

    mark.touch()
    ran.unlink()
    resumed = command("runs", "resume", name).outputs
    assert [text_of(found) for found in resumed["each"]] == ["a\n", "b\n", "c\n"]
    assert text_of(resumed["all"]) == "a\nb\nc\n"
    assert ran.read_text() == "b\n"


def test_finish_lets_what_runs_end_and_publishes_nothing(command: CommandLine) -> None:
    mark = command.directory / "mark"
    command.write("workflow.cwl", TWO_BRANCHES.replace("echo fine", f"echo fine; touch {mark}"))

    ended = command.run("--on-error", "finish", "workflow.cwl")

    assert_refused(ended, 13, "Error: workflow.cwl:9:35: bad failed: it exited with code 7", outdir=command.outdir)
    assert mark.exists()


def test_the_state_of_a_run_tells_what_a_failure_did(command: CommandLine) -> None:
    command.write("told.cwl", TWO_BRANCHES)
    for choice in ("stop", "finish", "continue"):
        command.run("--on-error", choice, "told.cwl")

    database = command.home / "server/prefect/prefect.db"
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        found = connection.execute(
            "select state_type, state_name from flow_run join flow on flow.id = flow_id where flow.name = 'told' "
            "order by start_time"
        ).fetchall()
    assert found == [("FAILED", "Failed"), ("FAILED", "Unfinished"), ("FAILED", "Partial")]


FLAKY = """
    cwlVersion: v1.2
    class: CommandLineTool
    baseCommand:
      - sh
      - -c
      - 'echo try >> "$0"; test $(wc -l < "$0") -ge 3 || exit 9; echo at last'
    temporaryFailCodes: [9]
    inputs: {tries: {type: string, inputBinding: {}}}
    outputs: {text: stdout}
    """


@pytest.mark.parametrize(("retries", "code", "tries"), [("2", 0, 3), ("1", 16, 2), ("0", 16, 1)])
def test_temporary_failures_are_tried_again(command: CommandLine, retries: str, code: int, tries: int) -> None:
    command.write("tool.cwl", FLAKY)
    counted = command.directory / "tries.txt"

    environment = {"CWL_PREFECT_RETRIES": retries, "CWL_PREFECT_RETRY_DELAY_S": "0.1"}
    ended = command.run("tool.cwl", "--tries", str(counted), environment=environment)

    assert ended.code == code, ended.stderr
    assert counted.read_text() == "try\n" * tries
    if code:
        assert_refused(ended, code, "Error: tool.cwl:3:1: tool failed: it exited with code 9", outdir=command.outdir)


def test_permanent_failures_are_not_tried_again(command: CommandLine) -> None:
    command.write("tool.cwl", FLAKY.replace("temporaryFailCodes", "permanentFailCodes"))
    counted = command.directory / "tries.txt"

    ended = command.run("tool.cwl", "--tries", str(counted), environment={"CWL_PREFECT_RETRIES": "2"})

    assert_refused(ended, 13, outdir=command.outdir)
    assert counted.read_text() == "try\n"


@pytest.mark.parametrize(
    ("options", "texts"),
    [
        pytest.param(["--max-cores", "2"], ["4 core", "2"], id="cores"),
        pytest.param(["--max-ram", "1G"], ["2048", "1024"], id="ram"),
    ],
)
def test_a_request_that_never_fits_is_refused(command: CommandLine, options: list[str], texts: list[str]) -> None:
    asked = "ramMin: 2048" if "--max-ram" in options else "coresMin: 4"
    requirement = f"requirements: {{ResourceRequirement: {{{asked}}}}}"
    command.write("tool.cwl", ECHO.replace("doc: Says it.", requirement))

    ended = command.run(*options, "tool.cwl", "--message", "x")

    assert_refused(ended, 12, "Error: tool", *texts, outdir=command.outdir)


def test_the_runner_speaks_as_cwl_runners_do(command: CommandLine) -> None:
    command.write("tool.cwl", ECHO)
    command.write("job.yml", "message: hello")

    runner = {"program": "cwl-prefect-runner"}
    good = command("--outdir", command.outdir, "--quiet", "tool.cwl", "job.yml", program=runner["program"])
    command.write("bad.cwl", ECHO.replace("baseCommand", "baseComand"))
    bad = command("--outdir", command.directory / "bad", "bad.cwl", "job.yml", **runner)
    requirement = "requirements: [{class: MagicRequirement}]"
    command.write("unsupported.cwl", ECHO.replace("doc: Says it.", requirement))
    unsupported = command("--outdir", command.directory / "bad", "unsupported.cwl", "job.yml", **runner)

    assert text_of(good.outputs["text"]) == "hello\n"
    assert_refused(bad, 1, "bad.cwl:4:1: ")
    assert_refused(unsupported, 33, "'MagicRequirement'")
    assert_nothing_written(command.directory / "bad")


def test_two_runs_at_once_share_one_server(command: CommandLine) -> None:
    command.write("tool.cwl", ECHO.replace("baseCommand: echo", "baseCommand: [sh, -c, 'sleep 1; echo $0']"))

    runs = [command.start("run", "--outdir", command.directory / name, "tool.cwl", "--message", name) for name in "ab"]
    ended = [run.ended() for run in runs]

    assert [text_of(each.outputs["text"]) for each in ended] == ["a\n", "b\n"]
    servers = {found[0] for each in ended if (found := re.findall(r"http://127\.0\.0\.1:\d+", each.stderr))}
    assert len(servers) == 1
    status = command("server", "status")
    assert status.code == 0
    assert servers.pop() in status.stdout + status.stderr


def test_the_whole_of_what_a_tool_says_is_kept_in_files(command: CommandLine) -> None:
    said = "sh, -c, 'seq 1000 >&2; echo to stdout; exit 0'"
    command.write(
        "tool.cwl",
        f"""
        cwlVersion: v1.2
        class: CommandLineTool
        baseCommand: [{said}]
        inputs: []
        outputs: []
        """,
    )
    runs = command.directory / "runs"

    ended = command.run("--workdir", runs, "--keep", "always", "tool.cwl")

    assert ended.outputs == {}
    logs = {path.name: path.read_text() for path in runs.rglob("std*") if path.is_file()}
    assert logs["stderr"].splitlines() == [str(number) for number in range(1, 1001)]
    assert logs["stdout"] == "to stdout\n"


def test_what_a_tool_says_is_in_the_runs_log(command: CommandLine) -> None:
    command.write("tool.cwl", ECHO.replace("baseCommand: echo", "baseCommand: [sh, -c, 'echo told in passing >&2']"))

    assert command.run("tool.cwl", "--message", "x").outputs

    database = command.home / "server/prefect/prefect.db"
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        found = connection.execute("select count(*) from log where message like '%told in passing%'").fetchone()
    assert found[0] >= 1


def test_a_warning_is_in_the_log_of_its_run(command: CommandLine) -> None:
    greedy = ECHO.rstrip() + "\n    requirements: {ResourceRequirement: {coresMin: 4096}}\n"
    tool = command.write("greedy.cwl", greedy)
    ran = command.run("--no-cache", "--name", "greedy", tool, "--message", "hi")
    assert "asks for 4096 cores" in ran.stderr
    assert "asks for 4096 cores" in command("runs", "logs", "greedy").stdout


def test_a_failure_is_in_the_log_of_its_run_as_the_terminal_told_it(command: CommandLine) -> None:
    ran = command.run("--name", "broken", command.write("broken.cwl", TWO_BRANCHES))
    told = ran.stderr[ran.stderr.index("Error: ") :].removeprefix("Error: ").strip()
    log = command("runs", "logs", "broken").stdout
    assert (ran.code, "bad failed: it exited with code 7" in told, told in log) == (13, True, True), log
    assert "Traceback" not in log


def test_tools_see_nothing_of_the_engine(command: CommandLine) -> None:
    command.write(
        "tool.cwl", "cwlVersion: v1.2\nclass: CommandLineTool\nbaseCommand: env\ninputs: []\noutputs: {text: stdout}"
    )

    ended = command.run("tool.cwl", environment={"PREFECT_LOGGING_LEVEL": "INFO", "SECRET": "hidden"})

    seen = {line.partition("=")[0] for line in text_of(ended.outputs["text"]).splitlines()}
    assert not any(name.startswith(("PREFECT", "CWL_PREFECT", "SECRET")) for name in seen)


def test_a_plan_runs_as_its_document_does(command: CommandLine) -> None:
    document = command.write("tool.cwl", ECHO)
    compiled = command("compile", "-o", "plan.json", "tool.cwl")
    assert compiled.code == 0
    document.unlink()

    assert text_of(command.run("plan.json", "--message", "hi").outputs["text"]) == "hi\n"


def test_a_damaged_plan_is_refused(command: CommandLine) -> None:
    command.write("tool.cwl", ECHO)
    command("compile", "-o", "plan.json", "tool.cwl")
    plan = command.directory / "plan.json"
    plan.write_text(plan.read_text()[:-200])

    assert_refused(command.run("plan.json", "--message", "hi"), 10, "plan.json: ", outdir=command.outdir)
