"""Drive a workflow without Prefect: tasks that are only awaited, and tools that a function plays."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from textwrap import dedent

from prefect import State
from prefect.states import Completed

from cwl_prefect.backends.fake import FakeBackend
from cwl_prefect.engine.scheduling.scheduler import ResourcePool
from cwl_prefect.errors import CwlPrefectError
from cwl_prefect.flows.build import prepared
from cwl_prefect.flows.execution.backends import Backends
from cwl_prefect.flows.execution.driver import Driver, Scope
from cwl_prefect.flows.execution.run import Progress, Run, RunRequest
from cwl_prefect.flows.lifecycle.opening import open_run
from cwl_prefect.model.events import RunEvent, StepEvent, StepEventKind
from cwl_prefect.model.job import ContainerJob
from cwl_prefect.model.plan import WorkflowPlan
from cwl_prefect.settings import Settings
from tests.engines import answer
from tests.unit.documents import plan_of

TOOLS = """
- class: CommandLineTool
  id: say
  inputs: {x: {type: string, inputBinding: {}}, after: Any?}
  outputs: {o: {type: string, outputBinding: {glob: out, loadContents: true, outputEval: '$(self[0].contents)'}}}
  stdout: out
  baseCommand: say
  temporaryFailCodes: [75]
- class: CommandLineTool
  id: join
  inputs: {x: {type: string, inputBinding: {}}, y: {type: string, inputBinding: {}}}
  outputs: {o: {type: string, outputBinding: {glob: out, loadContents: true, outputEval: '$(self[0].contents)'}}}
  stdout: out
  baseCommand: say
- class: CommandLineTool
  id: all
  inputs: {x: {type: "string[]", inputBinding: {}}}
  outputs: {o: {type: string, outputBinding: {glob: out, loadContents: true, outputEval: '$(self[0].contents)'}}}
  stdout: out
  baseCommand: say
"""

FEATURES = """
  ScatterFeatureRequirement: {}
  SubworkflowFeatureRequirement: {}
  MultipleInputFeatureRequirement: {}
  StepInputExpressionRequirement: {}
  InlineJavascriptRequirement: {}
"""


def graph(main: str, *others: str) -> str:
    """Write a packed document of the tools above, other processes, and a main workflow given by its body."""
    processes = [_process("main", main), *others]
    return f"cwlVersion: v1.2\n$graph:\n{TOOLS.strip()}\n" + "\n".join(processes)


def subworkflow(name: str, body: str) -> str:
    """Write a workflow of a packed document."""
    return _process(name, body)


def _process(name: str, body: str) -> str:
    lines = f"class: Workflow\nid: {name}\nrequirements:{FEATURES.rstrip()}\n{dedent(body).strip()}".splitlines()
    return "- " + "\n  ".join(lines)


SCATTER_AND_WHEN = graph(
    """
    inputs: {xs: 'string[]', go: {type: boolean, default: true}}
    outputs: {r: {type: 'string[]?', outputSource: each/o}}
    steps:
      each: {run: '#say', scatter: x, in: {x: xs}, out: [o]}
      maybe: {run: '#say', when: $(inputs.go), in: {x: {default: hi}, go: go}, out: [o]}
    """
)
"""A scattered step, and one with a condition."""


class Player:
    """Plays the tools; a text decides what happens to its call.

    ``fail`` exits with 1, ``temp`` with 75 as often as there are entries in ``temporary``, ``slow`` never ends.
    """

    def __init__(self, *, temporary: int = 0) -> None:
        self.temporary = temporary
        self.commands: list[tuple[str, ...]] = []
        self.running = 0
        self.most = 0
        self.cancelled: list[str] = []

    async def __call__(self, job: ContainerJob) -> int:
        words = job.command[1:]
        self.commands.append(job.command)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(60 if "slow" in words else 0.001)
        except asyncio.CancelledError:
            self.cancelled.append(job.name)
            raise
        finally:
            self.running -= 1
        if "fail" in words:
            job.stderr.write_text("it went wrong\n")
            return 1
        if "temp" in words and self.temporary > 0:
            self.temporary -= 1
            return 75
        job.stdout.write_text(" ".join(words))
        return 0


class PlainTasks:
    """Awaits work; tries again what fails for a while."""

    def __init__(self, *, tries: int = 1) -> None:
        self.runs: list[tuple[str, str]] = []
        self.after: dict[str, list[str]] = {}
        self.skipped: list[str] = []
        self._tries = tries

    async def run(self, step: str, label: str, work, after: Sequence[State]) -> tuple[object, State]:
        self.runs.append((step, label))
        self.after[label] = [state.name for state in after]
        for left in reversed(range(self._tries)):
            try:
                return await work.attempt(), Completed(name=label)
            except CwlPrefectError as error:
                if not left or not error.try_again:
                    raise
        raise AssertionError

    async def skip(self, step: str, label: str, after: Sequence[State]) -> State:
        self.skipped.append(label)
        self.after[label] = [state.name for state in after]
        return Completed(name=label)

    @property
    def labels(self) -> list[str]:
        return [label for _, label in self.runs]


@dataclass(kw_only=True)
class Drive:
    """One run of a workflow and what is seen of it."""

    plan: WorkflowPlan
    settings: Settings
    player: Player
    tasks: PlainTasks = field(default_factory=PlainTasks)
    pool: ResourcePool = field(default_factory=lambda: ResourcePool(cores=10_000, ram_mib=10_000_000))
    events: list[StepEvent] = field(default_factory=list)
    run_id: str = "run"

    def __post_init__(self) -> None:
        self.backend = FakeBackend(self.player, containers=False)
        self.progress = Progress()
        self.request = RunRequest(
            job_order={},
            settings=self.settings,
            observers=(self._see,),
            backends=Backends(self.settings, processes=lambda: self.backend, available=answer(found=False)),
        )

    def _see(self, event: RunEvent) -> None:
        if isinstance(event, StepEvent):
            self.events.append(event)

    async def __call__(self, **values) -> dict:
        """Run it to its outputs."""
        async with open_run(self.plan, self.request, self.run_id, self.progress) as run:
            return await self.within(run, values)

    async def within(self, run: Run, values: dict) -> dict:
        order = prepared(self.plan, values, self.settings)
        outputs, _ = await Driver(replace(run, pool=self.pool), self.tasks).workflow(self.plan, order, Scope())
        return outputs

    @property
    def errors(self) -> list[str]:
        """Steps that failed."""
        return [getattr(error, "step", None) for error in self.progress.failures]

    def told(self, call: str) -> list[StepEventKind]:
        """What was told of one call, in order."""
        return [event.kind for event in self.events if event.call == call]

    def planned(self) -> dict[str, int]:
        """How many calls each step was said to have, in the end."""
        return {event.step: event.count for event in self.events if event.kind is StepEventKind.PLANNED}


def drive(directory: Path, document: str, *, tries: int = 1, temporary: int = 0, pool=None, **settings) -> Drive:
    """Compile a packed document and make its run ready."""
    return Drive(
        plan=plan_of(document),
        settings=Settings(home=directory / "home", **{"retries": tries - 1, **settings}),
        player=Player(temporary=temporary),
        tasks=PlainTasks(tries=tries),
        **({} if pool is None else {"pool": pool}),
    )
