"""Simulate a run: its tools are played, its time passes at once, and no Prefect server is needed."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import State
from prefect.states import Completed

from cwl_prefect.api import read_run
from cwl_prefect.backends.fake import FakeBackend
from cwl_prefect.engine.scheduling.scheduler import ResourcePool
from cwl_prefect.engine.workflow.overrides import tool_steps
from cwl_prefect.errors import CwlPrefectError, TimeLimitError, UsageError
from cwl_prefect.flows.build import driven, prepared
from cwl_prefect.flows.execution.backends import Backends
from cwl_prefect.flows.execution.run import Progress, RunRequest
from cwl_prefect.flows.execution.task_runs import Work, retry_delays
from cwl_prefect.flows.lifecycle.opening import open_run, sharing
from cwl_prefect.model.plan import WorkflowPlan
from cwl_prefect.model.values import CwlObject, JobOrder
from cwl_prefect.settings import Settings
from cwl_prefect.testing.clock import SimulatedLoop
from cwl_prefect.testing.fakes import FakeCall, FakeTool, FakeTools

if TYPE_CHECKING:
    from cwl_prefect.api import Document

LONGEST = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """What a simulated run came to.

    Attributes:
        outputs: The CWL output object; empty where it failed.
        errors: Why it failed.
        calls: Every try of a call, in the order of their ends, with times since the run began.
        took: How long the run would have taken.
    """

    outputs: CwlObject
    errors: tuple[CwlPrefectError, ...]
    calls: tuple[FakeCall, ...]
    took: timedelta


def simulate(
    document: "Document",
    job_order: JobOrder | None = None,
    *,
    tools: Mapping[str, FakeTool],
    directory: Path,
    settings: Settings | None = None,
    longest: timedelta = LONGEST,
) -> Simulation:
    """Simulate a run of a workflow, from code that does not run in an event loop.

    Steps, scatters, conditions, loops, expressions, retries with their pauses, time limits and the limits of cores and
    memory are those of a run. Images, caches, callbacks, observers and Prefect have no part in it.

    Args:
        document: A CWL document or a plan, as :func:`cwl_prefect.run` takes it.
        job_order: Values of its inputs, as there.
        tools: What each step's tool does, by the path of the step; others end well and write nothing.
        directory: Where workspaces and outputs are, as pytest's ``tmp_path``.
        settings: Settings; those of the environment where none are given.
        longest: Simulated time after which the run is ended, as one that waits for what never happens.

    Raises:
        DocumentError: The document cannot be read or is not valid CWL.
        InputError: The job order does not fit.
        UsageError: There is no step for a tool, or an event loop runs here already.

    Examples:
        >>> import tempfile
        >>> from datetime import timedelta
        >>> from pathlib import Path
        >>> from cwl_prefect.testing import FakeTool, simulate
        >>> tools = {"hello": FakeTool(stdout="hello", takes=timedelta(days=2))}
        >>> done = simulate("examples/cwl/hello/hello.cwl", tools=tools, directory=Path(tempfile.mkdtemp()))
        >>> done.took.days, done.outputs["greeting"]["size"]
        (2, 5)
    """
    _demand_no_loop()
    alone = _alone(settings or Settings(), directory)
    plan, order = read_run(document, job_order, alone)
    _demand_steps(plan, tools)
    request = RunRequest(job_order=prepared(plan, order, alone), settings=alone, outdir=directory / "outputs")
    return _played(plan, request, FakeTools(tools), longest)


def _played(plan: WorkflowPlan, request: RunRequest, played: FakeTools, longest: timedelta) -> Simulation:
    request = replace(request, backends=Backends.of(FakeBackend(played), request.settings))
    progress = Progress()
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        runner.run(_simulated(plan, request, progress, longest))
        took = timedelta(seconds=runner.get_loop().time())
    return Simulation(outputs=progress.outputs, errors=tuple(progress.failures), calls=tuple(played.calls), took=took)


class _Tries:
    """Carries calls through their tries, with the pauses that Prefect would make between them."""

    def __init__(self, settings: Settings) -> None:
        self._delays = retry_delays(settings)

    async def run(
        self,
        step: str,  # noqa: ARG002 - as drivers call
        label: str,
        work: Work,
        after: Sequence[State[object]],  # noqa: ARG002 - as above
    ) -> tuple[object, State[object]]:
        """Try until it succeeds or no other try is due."""
        for delay_s in self._delays:
            try:
                return await work.attempt(), Completed(name=label)
            except CwlPrefectError as error:
                if not error.try_again:
                    raise
            await asyncio.sleep(delay_s)
        return await work.attempt(), Completed(name=label)

    async def skip(self, step: str, label: str, after: Sequence[State[object]]) -> State[object]:  # noqa: ARG002 - as above
        """Note nothing of a call whose condition does not hold."""
        return Completed(name=label)


async def _simulated(plan: WorkflowPlan, request: RunRequest, progress: Progress, longest: timedelta) -> None:
    settings = request.settings
    limit_s = min(longest.total_seconds(), settings.run_timeout_s or longest.total_seconds())
    try:
        with sharing(_machine(settings)):
            async with asyncio.timeout(limit_s), open_run(plan, request, "simulation", progress) as run:
                await driven(run, _Tries(settings))
    except TimeoutError:
        progress.failures.append(
            TimeLimitError(f"the run took longer than {timedelta(seconds=limit_s)} and was stopped.")
        )


def _machine(settings: Settings) -> ResourcePool:
    """Return the cores and memory that the settings name, whatever this machine has."""
    here = ResourcePool.of_machine(settings)
    return ResourcePool(
        cores=settings.max_cores or here.cores,
        ram_mib=settings.max_ram_mib or here.ram_mib,
        all_cores_for_more=settings.max_cores is None,
    )


def _alone(settings: Settings, directory: Path) -> Settings:
    """Return settings with which a run leaves the rest of the machine, and Prefect, alone."""
    own = {
        "home": directory / "home",
        "workdir": None,
        "steps_pool": None,
        "cache": False,
        "record": False,
        "artifacts": False,
        "observers": (),
        "callbacks": None,
        "nested_flows": 0,
        "least_free_mib": 0,
        "log_lines": 0,
    }
    return settings.model_copy(update=own)


def _demand_no_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise UsageError("a simulation has an event loop of its own, and one runs here.", hint="make it a plain function.")


def _demand_steps(plan: WorkflowPlan, tools: Mapping[str, FakeTool]) -> None:
    steps = [name for name, _ in tool_steps(plan)]
    for name in tools:
        if name not in steps:
            near = get_close_matches(name, steps, n=1)
            raise UsageError(
                f"{plan.name} has no step {name!r} that runs a tool.",
                hint=f"did you mean {near[0]!r}?" if near else f"its steps are: {', '.join(steps)}.",
            )
