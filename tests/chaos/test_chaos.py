"""Kill a driver, its tools or the server at random moments, resume, and compare with a run that nothing disturbed.

``make chaos`` runs 200 seeds; CI a few. A seed says where the steps run, what is killed and when.
"""

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.commandline.driving import CommandLine, Ended, Started

pytestmark = pytest.mark.server

SEEDS = int(os.environ.get("CHAOS_SEEDS", "8"))
FIRST_SEED = int(os.environ.get("CHAOS_FIRST_SEED", "0"))
MOST_RESUMES = 4
LABEL = "cwl-prefect.io/flow-run-id"
RECORDED_S = 1.5  # so long before a kill a call must have ended to be surely recorded

WORKFLOW = """
    cwlVersion: v1.2
    class: Workflow
    requirements: {ScatterFeatureRequirement: {}, StepInputExpressionRequirement: {}}
    inputs: {text: File, parts: "int[]", log: string}
    outputs:
      joined: {type: File, outputSource: join/o}
      counts: {type: "File[]", outputSource: count/o}
    steps:
      upper: {run: upper.cwl, in: {f: text, log: log}, out: [o]}
      count: {run: count.cwl, in: {f: upper/o, part: parts, log: log}, scatter: part, out: [o]}
      join: {run: join.cwl, in: {f: count/o, log: log}, out: [o]}
    """
TOOL = """
    cwlVersion: v1.2
    class: CommandLineTool
    hints: {{DockerRequirement: {{dockerPull: "busybox:1.35"}}}}
    requirements: {{ResourceRequirement: {{coresMin: 0.25, ramMin: 16}}}}
    inputs:
      f: {{type: "{type}", inputBinding: {{position: 3}}}}
      part: {{type: int, default: 0, inputBinding: {{position: 2}}}}
      log: {{type: string, inputBinding: {{position: 1}}}}
    outputs: {{o: {{type: stdout}}}}
    stdout: {name}.txt
    baseCommand: [sh, -ec]
    arguments: [{{position: 0, valueFrom: 'p=$1; {script}; test ! -w "$0" || date "+{name} $p %s" >> "$0"'}}]
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is done to one run."""

    seed: int
    backend: str
    target: str  # what is killed
    moment: float  # when, as a share of an undisturbed run's time
    again: bool  # whether the first resume is killed too

    @classmethod
    def of(cls, seed: int) -> "Case":
        chance = random.Random(seed)
        return cls(
            seed=seed,
            backend="docker" if seed % 2 else "local",
            target=chance.choices(["driver", "tool", "server"], weights=[8, 2, 1])[0],
            moment=chance.uniform(0.2, 1.0),
            again=chance.random() < 0.3,
        )

    def __str__(self) -> str:
        return f"{self.seed}-{self.backend}-{self.target}-{self.moment:.2f}{'-again' if self.again else ''}"


CASES = [Case.of(seed) for seed in range(FIRST_SEED, FIRST_SEED + SEEDS)]
MARKED = [
    pytest.param(case, id=str(case), marks=[pytest.mark.docker] if case.backend == "docker" else []) for case in CASES
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Undisturbed:
    seconds: float
    outputs: Mapping[str, object]


class Chaos:
    """One workflow, and everything that a run of it may leave."""

    def __init__(self, command: CommandLine) -> None:
        self.command = command
        self.log = command.write("log", "")
        self.log.chmod(0o666)
        command.write("flow.cwl", WORKFLOW)
        for name, kind, script in (
            ("upper", "File", 'sleep 0.2; tr a-z A-Z < "$2"'),
            ("count", "File", 'sleep 0.$1; head -n $1 "$2"'),
            ("join", "File[]", 'shift 1; sleep 0.2; cat "$@"'),
        ):
            text = TOOL.format(name=name, type=kind, script=script.replace("'", "''"))
            command.write(f"{name}.cwl", text)
        command.write("text.txt", "".join(f"line {number}\n" for number in range(50)))
        order = {
            "text": {"class": "File", "location": (command.directory / "text.txt").as_uri()},
            "parts": list(range(1, 9)),
            "log": str(self.log),
        }
        command.write("order.json", json.dumps(order))
        self.runs = command.directory / "runs"
        self.environment = {
            "CWL_PREFECT_WORKDIR": str(self.runs),
            "CWL_PREFECT_CACHE_URL": str(command.directory / "cache"),
        }

    def start(self, backend: str) -> Started:
        arguments = ("run", "--backend", backend, "--outdir", self.command.outdir, "flow.cwl", "order.json")
        return self.command.start(*arguments, environment=self.environment)

    def resume(self, run_id: str) -> Started:
        return self.command.start("runs", "resume", run_id, environment=self.environment)

    def run_id(self) -> str | None:
        return next((path.parent.name for path in self.runs.glob("*/run.json")), None)

    def known_to_have_ended(self, before: float) -> set[tuple[str, str]]:
        lines = [line.split() for line in self.log.read_text().splitlines()]
        return {(name, part) for name, part, when in lines if float(when) < before - RECORDED_S}

    def executions(self) -> Counter[tuple[str, str]]:
        return Counter((line.split()[0], line.split()[1]) for line in self.log.read_text().splitlines())


def digest(outputs: Mapping[str, object]) -> dict[str, list[str]]:
    """Give the bytes of all outputs, read from where they were published."""
    found = {}
    for port, value in outputs.items():
        files = value if isinstance(value, list) else [value]
        found[port] = [hashlib.sha256(Path(file["path"]).read_bytes()).hexdigest() for file in files]
    return found


def kill(case: Case, driver: Started, chaos: Chaos) -> None:
    """Kill what the case says."""
    with contextlib.suppress(psutil.NoSuchProcess, OSError, ValueError):
        if case.target == "driver":
            driver.process.send_signal(signal.SIGKILL)
        elif case.target == "server":
            os.kill(int((chaos.command.home / "server" / "server.pid").read_text()), signal.SIGKILL)
        elif case.backend == "docker":
            import docker

            client = docker.from_env()
            mine = client.api.containers(filters={"label": f"{LABEL}={chaos.run_id()}"})
            for one in mine[:1]:
                client.api.kill(one["Id"])
            client.close()
        else:
            tools = [p for p in psutil.Process(driver.process.pid).children(recursive=True) if p.name() == "sleep"]
            for tool in tools[:1]:
                tool.kill()


@pytest.fixture(scope="session")
def undisturbed() -> dict[str, Undisturbed]:
    return {}


def reference(case: Case, command: CommandLine, known: dict[str, Undisturbed]) -> Undisturbed:
    if case.backend not in known:
        chaos = Chaos(command)
        ended = chaos.start(case.backend).ended()
        known[case.backend] = Undisturbed(seconds=ended.seconds, outputs=digest(ended.outputs))
        for path in command.directory.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
    return known[case.backend]


def left(run_ids: set[str], chaos: Chaos) -> list[str]:
    """Name what runs left behind."""
    found = [str(path) for path in chaos.runs.iterdir() if path.name not in (".plans", "audit.jsonl")]
    found += [str(path) for path in chaos.command.directory.rglob("*.part")]
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and process.cwd().startswith(str(chaos.runs)):
                found.append(repr(process))
    with contextlib.suppress(ImportError):
        import docker

        with contextlib.suppress(docker.errors.DockerException):
            client = docker.from_env()
            for run_id in run_ids:
                found += [one["Id"] for one in client.api.containers(all=True, filters={"label": f"{LABEL}={run_id}"})]
            client.close()
    return found


def finish(case: Case, chaos: Chaos, expected: Undisturbed) -> tuple[Ended, set[str], list[tuple[float, Counter]]]:
    """Kill once or twice, and resume until the run is complete."""
    run_ids: set[str] = set()
    kills: list[tuple[float, Counter[tuple[str, str]]]] = []
    driver = chaos.start(case.backend)
    time.sleep(expected.seconds * case.moment)
    for attempt in range(MOST_RESUMES + 1):
        if attempt == 0 or (attempt == 1 and case.again):
            kills.append((time.time(), chaos.executions()))
            kill(case, driver, chaos)
        ended = driver.ended()
        run_id = chaos.run_id()
        if run_id is not None:
            run_ids.add(run_id)
        if ended.code == 0:
            return ended, run_ids, kills
        driver = chaos.start(case.backend) if run_id is None else chaos.resume(run_id)
        if attempt == 0 and case.again:
            time.sleep(expected.seconds * case.moment / 2)
    raise AssertionError(f"the run did not end in {MOST_RESUMES} resumes: {ended.stderr}")


@pytest.mark.parametrize("case", MARKED)
def test_a_killed_run_ends_as_if_nothing_had_happened(
    case: Case, command: CommandLine, undisturbed: dict[str, Undisturbed]
) -> None:
    expected = reference(case, command, undisturbed)
    chaos = Chaos(command)
    ended, run_ids, kills = finish(case, chaos, expected)
    assert digest(ended.outputs) == expected.outputs
    assert left(run_ids, chaos) == []
    for call, count in chaos.executions().items():
        again = [moment for moment, before in kills if before[call] and call in chaos.known_to_have_ended(moment)]
        assert count <= 1 + len(kills) - len(again), f"{call} ran again although it had ended before a kill"
