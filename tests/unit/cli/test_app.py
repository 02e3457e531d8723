import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cwl_prefect import api
from cwl_prefect.api import RunResult, RunStatus
from cwl_prefect.cli.app import app
from cwl_prefect.cli.run.runner import run_as_cwl_runner
from cwl_prefect.cwl.checking.validate import Checked
from cwl_prefect.errors import DocumentError, StepError, UnsupportedError
from cwl_prefect.model.events import StepEvent, StepEventKind
from cwl_prefect.model.plan import InputPort
from cwl_prefect.runs import resume as resuming
from tests.plans import workflow

PLAN = workflow(
    name="greet",
    doc="Says something [nice].",
    inputs=(
        InputPort(id="message", type="string", doc="What to say"),
        InputPort(id="loud", type=["null", "boolean"], default=False),
        InputPort(id="outdir", type=["null", "string"]),
        InputPort(
            id="reads", type=["null", {"type": "array", "items": "File"}], default={"class": "File", "path": "a.fq"}
        ),
    ),
)


class FakeApi:
    """Stands in for the api module: remembers what it is asked, gives what it is told to give."""

    def __init__(self):
        self.result = RunResult(status=RunStatus.COMPLETED, outputs={"out": "hé"}, flow_run_id="1", url=None, errors=())
        self.error = None
        self.job_order = {}
        self.tool = None
        self.loaded = []
        self.ran = None
        self.named = None

    def load_plan(self, document, *, job_order=None, settings=None):
        self.loaded.append((document, job_order))
        if self.error is not None:
            raise self.error
        return PLAN

    def read_job_order(self, source):
        return dict(self.job_order) if source else {}

    def document_of(self, source):
        return self.tool

    async def run(self, plan, job_order, *, settings, outdir, observers, name, tags):
        self.ran = (dict(job_order), settings, outdir)
        self.named = (name, tags)
        print("a library prints")
        observers[0](StepEvent(kind=StepEventKind.STARTED, step="greet"))
        return self.result


@pytest.fixture
def fake(monkeypatch, tmp_path):
    fake = FakeApi()
    for name in ("load_plan", "read_job_order", "document_of", "run"):
        monkeypatch.setattr(api, name, getattr(fake, name))
    monkeypatch.setattr(api, "compile_document", fake.load_plan)
    monkeypatch.setattr(api, "check_document", lambda document, images: Checked(plans=(fake.load_plan(document),)))
    monkeypatch.setenv("CWL_PREFECT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    handlers = list(root.handlers)
    yield fake
    root.handlers[:] = handlers


def invoke(*arguments):
    return CliRunner().invoke(app, list(arguments))


def test_standard_output_is_the_output_object_and_nothing_else(fake):
    result = invoke("run", "greet.cwl", "--message", "hi")

    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"out": "hé"}
    assert "a library prints" in result.stderr
    assert "greet started" in result.stderr
    assert fake.ran[0] == {"message": "hi"}


def test_standard_error_is_lines_of_json_where_that_is_asked_for(fake):
    fake.result = replace(fake.result, status=RunStatus.FAILED, errors=(StepError("greet failed"),))

    result = invoke("run", "--log-format", "json", "greet.cwl")

    lines = [json.loads(line) for line in result.stderr.splitlines() if line != "a library prints"]
    assert [(line["event"], line.get("step") or line.get("message")) for line in lines] == [
        ("call_started", "greet"),
        ("message", "greet failed"),
    ]
    assert invoke("run", "greet.cwl").stderr.endswith("Error: greet failed\n")


def test_lines_of_json_are_of_one_run(fake):
    result = invoke("run", "--log-format", "json", "--batch", "a.yml", "greet.cwl")

    assert (result.exit_code, json.loads(result.stderr)["message"]) == (
        2,
        "--log-format json is of one run.\nTo fix: leave it out, or run one after the other.",
    )


def test_a_run_that_is_resumed_writes_lines_of_json_too(fake, monkeypatch):
    async def resume(run, *, settings, observers, same):
        observers[0](StepEvent(kind=StepEventKind.STARTED, step="greet"))
        return replace(fake.result, status=RunStatus.FAILED, errors=(StepError("greet failed"),))

    monkeypatch.setattr(api, "resume", resume)
    monkeypatch.setattr(resuming, "known_runs", lambda run, settings: ["1"])

    lines = [json.loads(line) for line in invoke("runs", "resume", "1", "--log-format", "json").stderr.splitlines()]
    assert [(line["event"], line.get("step") or line.get("message")) for line in lines] == [
        ("call_started", "greet"),
        ("message", "greet failed"),
    ]
    result = invoke("runs", "resume", "--all-unfinished", "--log-format", "json")
    assert (result.exit_code, "is of one run" in result.stderr) == (2, True)


def test_options_become_settings_wherever_they_stand(fake, tmp_path):
    before = ["run", "--quiet", "--max-ram", "4G", "--max-cores", "2", "--parallel", "3", "--timeout", "9"]
    after = ["greet.cwl", "--message", "hi", "--outdir", "out", "--no-container", "--keep", "always"]

    result = invoke(*before, *after, "--on-error", "continue", "--workdir", "work")

    assert result.exit_code == 0, result.stderr
    job_order, settings, outdir = fake.ran
    assert job_order == {"message": "hi"}
    assert outdir == tmp_path / "out"
    assert (settings.max_ram_mib, settings.max_cores, settings.max_calls, settings.run_timeout_s) == (4096, 2, 3, 9)
    assert (settings.backend, settings.keep, settings.on_error) == ("local", "always", "continue")
    assert settings.workdir == Path("work")
    assert "greet started" not in result.stderr


def test_options_say_whom_a_run_trusts(fake, tmp_path):
    flags = ("--untrusted", "--require-containers", "--default-image", "debian", "--allow-path", "a", "--allow-path")

    assert invoke("run", *flags, tmp_path, "greet.cwl").exit_code == 0
    settings = fake.ran[1]
    assert (settings.untrusted, settings.require_containers, settings.default_image) == (True, True, "debian")
    assert settings.allow_path == (tmp_path / "a", tmp_path)

    assert invoke("run", "greet.cwl").exit_code == 0
    settings = fake.ran[1]
    assert (settings.untrusted, settings.require_containers, settings.allow_path) == (False, False, ())


@pytest.mark.parametrize(("flags", "expected"), [((), "set"), (("--outdir", "given"), "given")], ids=["set", "given"])
def test_the_destination_is_the_option_s_else_the_setting_s(fake, tmp_path, monkeypatch, flags, expected):
    monkeypatch.setenv("CWL_PREFECT_OUTDIR", "set")
    assert invoke("run", "greet.cwl", *flags).exit_code == 0
    assert fake.ran[2] == tmp_path / expected


def test_inputs_named_like_options_go_after_two_dashes(fake):
    assert invoke("run", "greet.cwl", "--message", "hi", "--", "--outdir", "x").exit_code == 0
    assert fake.ran[0] == {"message": "hi", "outdir": "x"}


def test_a_run_has_the_name_and_tags_that_it_is_given(fake):
    assert invoke("run", "--name", "the {first}", "greet.cwl", "--tag", "night", "--tag", "x").exit_code == 0
    assert fake.named == ("the {first}", ("night", "x"))


def test_prefect_names_a_run_that_is_given_none(fake):
    assert invoke("run", "greet.cwl").exit_code == 0
    assert fake.named == (None, ())


@pytest.mark.parametrize("flags", [("--name", " "), ("--name", "a\nb"), ("--tag", "")], ids=repr)
def test_a_name_that_is_none_is_refused(fake, flags):
    refused = invoke("run", *flags, "greet.cwl")
    assert (refused.exit_code, fake.ran) == (2, None)
    assert flags[0] in refused.stderr


def test_an_input_that_is_named_like_the_option_is_told_of(fake, monkeypatch):
    plan = replace(PLAN, inputs=(InputPort(id="name", type=["null", "string"]),))
    monkeypatch.setattr(api, "load_plan", lambda *_, **__: plan)
    assert "-- --name VALUE" in invoke("run", "greet.cwl", "--name", "Ada").stderr
    assert "Warning" not in invoke("run", "greet.cwl", "--name", "Ada", "--", "--name", "Ada").stderr
    assert fake.ran[0] == {"name": "Ada"}


def test_flags_win_over_the_job_order(fake):
    fake.job_order = {"message": "from the file", "loud": True}

    invoke("run", "greet.cwl", "job.yml", "--message", "from the flag")

    assert fake.ran[0] == {"message": "from the flag", "loud": True}


def test_a_job_order_may_name_its_document(fake, tmp_path):
    (tmp_path / "job.yml").write_text("cwl:tool: greet.cwl")
    fake.tool, fake.job_order = "greet.cwl", {"message": "hi"}

    assert invoke("run", "job.yml").exit_code == 0
    assert fake.loaded[0][0] == "greet.cwl"
    assert fake.ran[0] == {"message": "hi"}
    assert invoke("run", "job.yml", "other.yml").exit_code == 2


def test_requirements_in_the_job_order_reach_the_compiler(fake):
    fake.job_order = {"cwl:requirements": [{"class": "X"}], "message": "hi"}

    invoke("run", "greet.cwl", "job.yml")

    assert fake.loaded[-1] == ("greet.cwl", fake.job_order)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        pytest.param([], 2, "No document", id="no-document"),
        pytest.param(["--singularity", "greet.cwl"], 2, "shows the options", id="option-of-others"),
        pytest.param(["--unknown"], 2, "No such option: --unknown", id="unknown-option"),
        pytest.param(["greet.cwl", "--mesage", "x"], 2, "did you mean --message", id="misspelt-input"),
        pytest.param(["--outdr", "x", "greet.cwl"], 2, "did you mean --outdir", id="misspelt-option"),
        pytest.param(["greet.cwl", "--retry", "2"], 2, "did you mean --retries", id="misspelt-option-behind"),
        pytest.param(["--max-ram", "lots", "greet.cwl"], 2, "is no size", id="bad-memory"),
        pytest.param(["--max-cores", "-1", "greet.cwl"], 2, "--max-cores", id="bad-cores"),
        pytest.param(["--backend", "cloud", "greet.cwl"], 2, "'--backend': 'cloud' is not one of", id="bad-backend"),
        pytest.param(
            ["--parallel", "greet.cwl"], 2, "it should be a valid integer, not 'greet.cwl'.\n", id="no-number"
        ),
    ],
)
def test_wrong_command_lines_are_told(fake, arguments, code, told):
    result = invoke("run", *arguments)

    assert result.exit_code == code
    assert told in result.stderr
    assert result.stdout == ""


_NO_LEVEL = "Invalid value for '--level': 'loud' is not one of 'debug', 'info', 'warning', 'error'."


@pytest.mark.parametrize(
    ("arguments", "told", "command"),
    [
        ("--nosuch", "No such option: --nosuch.", ""),
        ("--verison", "No such option: --verison. Did you mean --version?", ""),
        ("--version=3", "Option '--version' does not take a value.", ""),
        ("rnu", "No such command 'rnu'. Did you mean 'run'?", ""),
        ("runs outputz", "No such command 'outputz'. Did you mean 'outputs'?", " runs"),
        ("runs --nosuch", "No such option: --nosuch.", " runs"),
        ("runs show", "Missing argument 'RUN'.", " runs show"),
        ("runs ls --limit", "Option '--limit' requires an argument.", " runs ls"),
        (
            "runs ls --limit 0",
            "Invalid value for '--limit': it should be greater than or equal to 1, not '0'.",
            " runs ls",
        ),
        ("runs logs last --level loud", _NO_LEVEL, " runs logs"),
        ("graph --fromat dot", "No such option: --fromat. Did you mean --format?", " graph"),
        ("validate a b c", "Got unexpected extra argument(s) (c).", " validate"),
    ],
)
def test_every_wrong_command_line_is_told_in_two_lines(arguments, told, command):
    result = invoke(*arguments.split())

    assert result.exit_code == 2
    assert result.stderr == f"Error: {told}\nTo fix: `cwl-prefect{command} -h` shows what can be given.\n"


def test_a_wrong_environment_names_the_variable(fake, monkeypatch):
    monkeypatch.setenv("CWL_PREFECT_BACKEND", "cloud")

    result = invoke("run", "greet.cwl")

    assert result.exit_code == 2
    assert "CWL_PREFECT_BACKEND" in result.stderr


def test_errors_end_with_their_code_and_say_what_to_do(fake):
    fake.error = DocumentError("greet.cwl:3:1: no.", hint="Look there.")

    result = invoke("run", "greet.cwl")

    assert result.exit_code == 10
    assert result.stderr.splitlines() == ["Error: greet.cwl:3:1: no.", "To fix: Look there."]


def test_failed_steps_decide_the_exit_code_and_partial_outputs_are_printed(fake):
    errors = (StepError("greet[3] failed"), StepError("greet[4] failed"))
    fake.result = RunResult(status=RunStatus.FAILED, outputs={}, flow_run_id="1", url=None, errors=errors)

    failed = invoke("run", "greet.cwl")
    fake.result = RunResult(status=RunStatus.PARTIAL, outputs={"out": None}, flow_run_id="1", url=None, errors=errors)
    partial = invoke("run", "greet.cwl")

    assert (failed.exit_code, failed.stdout) == (13, "")
    assert failed.stderr.count("greet[3] failed") == 1
    assert (partial.exit_code, json.loads(partial.stdout)) == (24, {"out": None})


def test_a_bug_is_told_with_a_log_file_that_has_the_traceback(fake, tmp_path):
    fake.error = RuntimeError("unexpected")

    result = invoke("run", "greet.cwl")

    assert result.exit_code == 70
    assert "internal error: RuntimeError: unexpected" in result.stderr
    assert "Traceback" not in result.stderr
    (log,) = (tmp_path / "home" / "logs").iterdir()
    assert str(log) in result.stderr
    assert "Traceback" in log.read_text()


def test_a_bug_is_told_even_where_nothing_can_be_written(fake, monkeypatch):
    monkeypatch.setenv("CWL_PREFECT_HOME", "/proc/nowhere")
    monkeypatch.setattr("tempfile.gettempdir", lambda: "/proc/nowhere")
    fake.error = RuntimeError("unexpected")

    result = invoke("run", "greet.cwl")

    assert result.exit_code == 70
    assert "no place" in result.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [pytest.param(BrokenPipeError(), 141, id="broken-pipe"), pytest.param(KeyboardInterrupt(), 130, id="ctrl-c")],
)
def test_processes_that_are_stopped_end_quietly(fake, error, code):
    fake.error = error

    result = invoke("run", "greet.cwl")

    assert result.exit_code == code
    assert "Traceback" not in result.stderr


def test_help_after_the_document_shows_its_inputs(fake):
    result = invoke("run", "greet.cwl", "--help")

    assert result.exit_code == 0
    for text in (
        "Says something [nice].",
        "--message",
        "What to say",
        "[required]",
        "--loud/--no-loud",
        "File[]?",
        "a.fq",
    ):
        assert text in result.stdout
    assert fake.ran is None


def test_help_without_a_document_shows_the_options(fake):
    result = invoke("run", "--help")

    assert result.exit_code == 0
    assert "--on-error" in result.stdout
    assert fake.loaded == []


def test_the_version_is_printed():
    assert invoke("--version").stdout.startswith("cwl-prefect ")
    assert invoke().exit_code in (0, 2)


def test_compile_writes_the_plan(fake, tmp_path):
    printed = invoke("compile", "greet.cwl")
    written = invoke("compile", "greet.cwl", "-o", str(tmp_path / "plan.json"))

    assert json.loads(printed.stdout)["name"] == "greet"
    assert written.stdout == ""
    assert json.loads((tmp_path / "plan.json").read_text())["name"] == "greet"


def test_an_output_that_cannot_be_written_is_told(fake, tmp_path):
    result = invoke("compile", "greet.cwl", "-o", str(tmp_path / "no" / "plan.json"))

    assert result.exit_code == 20
    assert "No such file or directory" in result.stderr


def test_validate_says_so(fake):
    result = invoke("validate", "greet.cwl")

    assert result.exit_code == 0
    assert "greet.cwl is valid CWL v1.2" in result.stdout


def test_validate_lists_what_a_document_names_outside_of_its_tree(tmp_path, monkeypatch):
    (tmp_path / "tree").mkdir()
    document = tmp_path / "tree" / "tool.cwl"
    default = "{class: File, location: LOCATION}"
    head = "cwlVersion: v1.2\nclass: CommandLineTool\nbaseCommand: cat\noutputs: []"
    tool = f"{head}\ninputs:\n  f: {{type: File, default: {default}}}\n"
    document.write_text(tool.replace("LOCATION", "../data.txt"))

    found = CliRunner().invoke(app, ["validate", str(document)])
    assert found.exit_code == 0
    assert found.stderr.startswith(f"Warning: {document}:6:")
    assert f"{tmp_path}/data.txt lies outside" in found.stderr

    monkeypatch.setenv("CWL_PREFECT_ALLOW_PATH", json.dumps([str(tmp_path)]))
    assert CliRunner().invoke(app, ["validate", str(document)]).stderr == ""


def test_a_plan_is_checked_as_it_is_run(tmp_path):
    document, plan, order = (tmp_path / name for name in ("say.cwl", "plan.json", "order.yml"))
    document.write_text(
        "cwlVersion: v1.2\nclass: CommandLineTool\nbaseCommand: echo\ninputs: {n: int}\noutputs: {o: stdout}\n"
    )
    assert invoke("compile", str(document), "-o", str(plan)).exit_code == 0
    assert invoke("validate", str(plan)).stdout == f"{plan} is valid CWL v1.2.\n"
    order.write_text("n: many\n")
    wrong = invoke("validate", str(plan), str(order))
    assert wrong.exit_code == 11
    assert "order.yml:1:1: " in wrong.stderr
    assert "input n: expected int, found " in wrong.stderr


def test_validate_checks_each_process_of_a_graph_without_main(tmp_path):
    tool = "class: CommandLineTool, baseCommand: echo, inputs: {}, outputs: {}"
    (tmp_path / "two.cwl").write_text(f"cwlVersion: v1.2\n$graph: [{{id: a, {tool}}}, {{id: b, {tool}}}]\n")

    result = invoke("validate", str(tmp_path / "two.cwl"))

    assert result.exit_code == 0
    assert [line.rpartition("/")[2] for line in result.stdout.splitlines()] == [
        "two.cwl#a is valid CWL v1.2.",
        "two.cwl#b is valid CWL v1.2.",
    ]


def test_a_job_order_from_the_standard_input_is_told_by_name(tmp_path):
    tool = tmp_path / "tool.cwl"
    tool.write_text("{cwlVersion: v1.2, class: CommandLineTool, baseCommand: echo, inputs: {n: int?}, outputs: {}}")

    result = CliRunner().invoke(app, ["validate", str(tool), "-"], input="unrelated: 1")

    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[1:] == ["standard input fits it."]
    assert result.stderr == "Warning: standard input: there is no input 'unrelated'; it is ignored.\n"


def test_a_warning_of_a_run_names_the_standard_input(fake):
    fake.job_order = {"message": "hi", "mesage": "hello"}

    result = invoke("run", "--quiet", "greet.cwl", "-")

    assert result.exit_code == 0, result.stderr
    assert "Warning: standard input: there is no input 'mesage'; it is ignored." in result.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param(None, 0, id="success"),
        pytest.param(UnsupportedError("no"), 33, id="unsupported"),
        pytest.param(DocumentError("no"), 1, id="any-other-error"),
        pytest.param(RuntimeError("no"), 1, id="bug"),
        pytest.param(KeyboardInterrupt(), 130, id="interrupted"),
    ],
)
def test_the_runner_ends_as_cwltest_expects(fake, capsys, error, code):
    fake.error = error

    assert run_as_cwl_runner(["--quiet", "--outdir", "out", "greet.cwl", "--message", "hi"]) == code


def test_the_runner_takes_what_cwl_runners_take(fake, tmp_path):
    options = ["--basedir", "x", "--tmpdir-prefix", "t/a", "--tmp-outdir-prefix", "t/b", "--no-container", "--debug"]

    assert run_as_cwl_runner([*options, "greet.cwl", "job.json", "--message", "hi"]) == 0
    job_order, settings, _ = fake.ran
    assert job_order == {"message": "hi"}
    assert settings.workdir == tmp_path / "t" / "cwl-prefect-runs"
    assert settings.backend == "local"


def test_the_runner_prints_its_version(capsys):
    assert run_as_cwl_runner(["--version"]) == 0
    assert capsys.readouterr().out.startswith("cwl-prefect-runner ")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        pytest.param(["graph", "greet.cwl"], "flowchart", id="mermaid"),
        pytest.param(["graph", "greet.cwl", "--format", "dot"], "digraph", id="dot"),
        pytest.param(["inputs", "greet.cwl"], "message", id="template"),
        pytest.param(["types", "greet.cwl"], "Outputs(TypedDict)", id="types"),
    ],
)
def test_drawings_and_templates_are_printed(fake, arguments, told):
    result = invoke(*arguments)

    assert result.exit_code == 0, result.stderr
    assert told in result.stdout
