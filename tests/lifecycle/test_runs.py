"""What can be done to runs from the command line, also after their driver was killed."""

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.commandline.driving import CommandLine, Started
from tests.prefect_api import local_api, matching, post
from tests.telemetry import Collector, collecting
from tests.waiting import until

pytestmark = pytest.mark.server

WORKFLOW = """
    cwlVersion: v1.2
    class: Workflow
    requirements: {ScatterFeatureRequirement: {}}
    inputs: {n: "int[]", t: int}
    outputs: {o: {type: "File[]", outputSource: s/o}}
    steps:
      s:
        in: {n: n, t: t}
        out: [o]
        scatter: n
        run:
          class: CommandLineTool
          requirements: {ResourceRequirement: {coresMin: 0.05, ramMin: 8}}
          baseCommand: [sh, -c, 'sleep $1; echo $0']
          inputs: {n: {type: int, inputBinding: {position: 1}}, t: {type: int, inputBinding: {position: 2}}}
          outputs: {o: {type: stdout}}
          stdout: out.txt
    """


def within(step: str, workflow: str) -> str:
    """Return a workflow whose only step is a workflow with the same inputs and outputs."""
    return f"""
    cwlVersion: v1.2
    class: Workflow
    requirements: {{SubworkflowFeatureRequirement: {{}}}}
    inputs: {{n: "int[]", t: int}}
    outputs: {{o: {{type: "File[]", outputSource: {step}/o}}}}
    steps:
      {step}:
        in: {{n: n, t: t}}
        out: [o]
        run:{workflow.replace(chr(10), chr(10) + " " * 6)}
    """


@pytest.fixture
def workflow(command: CommandLine) -> Path:
    return command.write("slow.cwl", WORKFLOW)


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


def start(command: CommandLine, workflow: Path, seconds: int, *options: str) -> tuple[Started, str]:
    """Start a run and wait until its calls run; give it with its id."""
    workdir = command.directory / options[options.index("--workdir") + 1] if "--workdir" in options else None
    runs = workdir or command.home / "runs"
    before = {path.parent.name for path in runs.glob("*/run.json")}
    inputs = ("--n", "1", "--n", "2", "--t", str(seconds))
    run = command.start("run", "--outdir", command.outdir, *options, workflow, *inputs)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        found = {path.parent.name for path in runs.glob("*/run.json")} - before
        if found and len(sleeping(run)) >= 2:
            return run, found.pop()
        assert run.process.poll() is None, run.ended().stderr
        time.sleep(0.05)
    raise AssertionError("the run did not begin")


def sleeping(run: Started) -> list[psutil.Process]:
    processes = psutil.Process(run.process.pid).children(recursive=True)
    return [process for process in processes if process.name() == "sleep"]


def hurry(command: CommandLine, run_id: str, runs: Path | None = None) -> None:
    """Let the calls of a run that is not driven take no time."""
    manifest = (runs or command.home / "runs") / run_id / "run.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"job_order": {"n": [1, 2], "t": 0}}))


def alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def listed(command: CommandLine, run_id: str) -> dict[str, object]:
    runs = json.loads(command("runs", "ls", "--json", "--limit", "100").stdout)
    (found,) = [one for one in runs if one["id"] == run_id]
    return found


def test_a_run_is_interrupted_listed_shown_and_resumed(command: CommandLine, workflow: Path) -> None:
    run, run_id = start(command, workflow, 120, "--name", "two {sleepers}", "--tag", "night")
    tools = sleeping(run)
    again = command("runs", "resume", run_id)
    assert (again.code, "is being driven by another process" in again.stderr) == (11, True)
    assert listed(command, run_id)["state"] == "Running"
    interrupted = command("runs", "interrupt", run_id)
    assert interrupted.code == 0, interrupted.stderr
    assert "is Interrupted." in interrupted.stdout
    assert run.ended().code == 130
    assert not any(map(alive, tools))
    shown = listed(command, run_id)
    assert (shown["state"], shown["resumable"], shown["drivers"]) == ("Interrupted", True, 1)
    assert (shown["name"], "night" in shown["tags"]) == ("two {sleepers}", True)
    assert run_id in command("runs", "ls", "--tag", "night", "--name", "two *").stdout
    assert run_id not in command("runs", "ls", "--tag", "day").stdout
    assert f"id         {run_id}" in command("runs", "show", run_id[:8]).stdout
    assert "Beginning flow run" in command("runs", "logs", str(shown["name"])).stdout
    hurry(command, run_id)
    resumed = command("runs", "resume", run_id)
    assert [Path(one["path"]).read_text() for one in resumed.outputs["o"]] == ["1\n", "2\n"]
    ended = listed(command, run_id)
    assert (ended["state"], ended["drivers"]) == ("Completed", 2)
    assert "is Completed" in command("runs", "cancel", run_id).stderr


def test_a_killed_run_is_seen_as_such_resumed_with_all_others_and_removed(
    command: CommandLine, workflow: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(command.environment, "OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    run, run_id = start(command, workflow, 120)
    other, other_id = start(command, workflow, 121, "--tag", "day")  # the same calls at once would run once
    tools = [*sleeping(run), *sleeping(other)]
    for driver in (run, other):
        driver.kill()
    until(lambda: not any(map(alive, tools)), 10)
    assert {listed(command, one)["state"] for one in (run_id, other_id)} == {"Killed"}
    cancelled = command("runs", "cancel", "--delete", "--yes", other_id)
    assert cancelled.code == 0, cancelled.stderr
    assert not (command.home / "runs" / other_id).exists()
    nothing = command("runs", "resume", "--all-unfinished", "--older-than", "1h")
    assert (nothing.code, nothing.stdout) == (0, "There is no such run on this machine.\n")
    assert "no such run" in command("runs", "resume", "--all-unfinished", "--tag", "day").stdout
    hurry(command, run_id)
    resumed = command("runs", "resume", "--all-unfinished", "--stagger", "0")
    assert (resumed.code, resumed.stdout.split()[0], resumed.stdout.split()[-1]) == (0, "resumed", "complete")
    assert len(list(command.outdir.glob("out*"))) == 2
    of_one_driver = [("call s[0]", "step s"), ("call s[1]", "step s"), ("run slow", ""), ("step s", "run slow")]
    assert collector.parents() == sorted([*of_one_driver, *of_one_driver])
    assert {span.trace for span in collector.spans} == {run_id.replace("-", "")}
    assert sorted(span.failed for span in collector.spans) == [False] * 4 + [True] * 4
    assert command("runs", "rm", "--yes", run_id).code == 0
    assert command("runs", "show", run_id).code == 11


def open_in_prefect(command: CommandLine) -> list[str]:
    """Give what the Prefect API takes for unfinished."""
    states = {"state": {"type": {"any_": ["SCHEDULED", "PENDING", "RUNNING"]}}}
    kinds = ("flow_runs", "task_runs")
    return [one["name"] for kind in kinds for one in matching(local_api(command.home), kind, **{kind: states})]


@pytest.mark.parametrize("way", ["resumed", "cancelled"])
def test_nothing_of_a_killed_driver_seems_to_go_on_however_deep_it_was_nested(command: CommandLine, way: str) -> None:
    run, run_id = start(command, command.write("nested.cwl", within("outer", within("inner", WORKFLOW))), 125)
    tools = sleeping(run)
    until(lambda: set(open_in_prefect(command)) >= {"outer", "outer.inner", "outer.inner.s[0]"}, 10)
    run.kill()
    until(lambda: not any(map(alive, tools)), 10)
    if way == "resumed":
        hurry(command, run_id)
        assert command("runs", "resume", run_id).code == 0
    else:
        assert command("runs", "cancel", run_id).code == 0
    until(lambda: not open_in_prefect(command), 5)
    assert command("runs", "rm", "--yes", run_id).code == 0
    left = {one["name"] for one in matching(local_api(command.home), "flow_runs")}
    assert not left & {"outer", "outer.inner"}


def test_a_run_with_a_directory_of_its_own_is_known_to_later_commands_without_it(
    command: CommandLine, workflow: Path
) -> None:
    runs = command.directory / "elsewhere"
    run, run_id = start(command, workflow, 123, "--workdir", "elsewhere")
    assert (command("runs", "interrupt", run_id).code, run.ended().code) == (0, 130)
    again, again_id = start(command, workflow, 124, "--workdir", "elsewhere")
    again.kill()
    assert listed(command, again_id)["state"] == "Killed"
    assert run_id in command("workspace", "ls").stdout
    assert command("runs", "cancel", "--delete", "--yes", again_id).code == 0
    assert not (runs / again_id).exists()
    hurry(command, run_id, runs)
    resumed = command("runs", "resume", "--all-unfinished", "--stagger", "0")
    assert f"{run_id}  complete" in resumed.stdout, resumed.stdout
    assert not (runs / run_id).exists()
    assert not (command.home / "runs" / run_id).exists()
    acts = [json.loads(line) for line in (runs / "audit.jsonl").read_text().splitlines()]
    ours = [entry["act"] for entry in acts if entry["run_id"] == run_id]
    assert ours == ["started", "interrupted", "resumed", "completed"]


def test_ctrl_c_interrupts_a_run_in_all_words(command: CommandLine, workflow: Path) -> None:
    run, run_id = start(command, workflow, 125)
    run.signal(signal.SIGINT)
    assert run.ended().code == 130
    assert listed(command, run_id)["state"] == "Interrupted"
    kept = json.loads(command("workspace", "ls", "--json").stdout)
    assert [one["outcome"] for one in kept if one["id"] == run_id] == ["interrupted"]
    trail = (command.home / "runs" / run_id / "audit.jsonl").read_text().splitlines()
    assert [json.loads(line)["act"] for line in trail] == ["started", "interrupted"]
    assert command("runs", "rm", "--yes", run_id).code == 0


def test_a_run_that_is_killed_after_its_last_step_can_be_resumed_and_runs_nothing_again(
    command: CommandLine, workflow: Path
) -> None:
    called = command.directory / "called"
    first_sleeps = f"mkdir {called} 2>/dev/null && exec sleep 100; exit 0"
    happened = command.write("callbacks.json", json.dumps([{"on": "success", "command": ["sh", "-c", first_sleeps]}]))
    run = command.start("run", "--outdir", command.outdir, "--callbacks", happened, workflow, "--n", "3", "--t", "1")
    until(called.is_dir, 60)
    (run_id,) = {path.parent.name for path in (command.home / "runs").glob("*/run.json")}
    run.kill()
    assert listed(command, run_id)["state"] == "Killed"
    resumed = command("runs", "resume", run_id)
    assert [Path(one["path"]).read_text() for one in resumed.outputs["o"]] == ["3\n"]
    assert "1 cached" in resumed.stderr
    assert listed(command, run_id)["state"] == "Completed"
    assert not (command.home / "runs" / run_id).exists()


def test_runs_of_other_flows_are_left_out(command: CommandLine, workflow: Path) -> None:
    ours = command.run("--quiet", "--name", "shared", workflow, "--n", "1", "--t", "0")
    assert ours.code == 0, ours.stderr
    api = local_api(command.home)
    flow = post(f"{api}/flows/", {"name": "somebody's"})["id"]
    foreign = {"flow_id": flow, "name": "shared", "tags": ["night"], "state": {"type": "COMPLETED"}}
    other = post(f"{api}/flow_runs/", foreign)["id"]

    assert other not in command("runs", "ls", "--limit", "1000").stdout
    shown = command("runs", "show", "shared")
    assert (shown.code, other in shown.stdout, "cwl-prefect" in shown.stdout) == (0, False, False), shown.stderr
    tasks = matching(api, "task_runs", flow_runs={"name": {"any_": ["shared"]}})
    assert all(task["tags"] == [] for task in tasks)


def test_what_cannot_be_is_refused(command: CommandLine) -> None:
    for arguments in (("show", "no-such-run"), ("cancel", "no-such-run"), ("resume", "no-such-run")):
        refused = command("runs", *arguments)
        assert (refused.code, refused.stdout) == (11, "")
        assert refused.stderr.startswith("Error: ")
    assert command("runs", "ls", "--older-than", "soon").code == 2
    assert command("runs", "resume").code == 2
