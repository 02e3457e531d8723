"""Further tries of whole runs, by cause; a function plays the tools."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from cwl_prefect.errors import BackendError, LostStepError, MemoryStepError, StepError
from cwl_prefect.model.events import StepEventKind
from cwl_prefect.model.job import ContainerJob, JobOutcome, Reason
from cwl_prefect.settings import OnError
from tests.unit.flows.driving import drive, graph

NEEDY = """\
- class: CommandLineTool
  id: needy
  requirements: {ResourceRequirement: {ramMin: 100}}
  inputs: {x: {type: string, inputBinding: {}}}
  outputs: {o: {type: string, outputBinding: {glob: out, loadContents: true, outputEval: '$(self[0].contents)'}}}
  stdout: out
  baseCommand: say
  arguments: [$(runtime.ram)]
"""
ONE = graph(
    """
    inputs: {n: string}
    outputs: {r: {type: string, outputSource: a/o}}
    steps: {a: {run: '#needy', in: {x: n}, out: [o]}}
    """,
    NEEDY,
)
MANY = graph(
    """
    inputs: {ns: 'string[]'}
    outputs: {r: {type: 'string[]', outputSource: a/o}}
    steps: {a: {run: '#needy', scatter: x, in: {x: ns}, out: [o]}}
    """,
    NEEDY,
)


def ended(job: ContainerJob, reason: Reason) -> JobOutcome:
    now = datetime.now(UTC)
    return JobOutcome(job_id=job.job_id, reason=reason, exit_code=137, started_at=now, finished_at=now)


class Machine:
    """A tool that needs memory, on a machine that may go away."""

    def __init__(self, *, needs_mib: dict[str, float] | None = None, ends: tuple = ()) -> None:
        self.needs_mib = needs_mib or {}
        self.ends = list(ends)
        self.had: list[tuple[str, float]] = []

    async def __call__(self, job: ContainerJob) -> int | JobOutcome:
        *_, ram, x = job.command
        assert float(ram) == job.resources.ram_mib
        self.had.append((x, job.resources.ram_mib))
        await asyncio.sleep(0)
        if self.ends:
            end = self.ends.pop(0)
            if isinstance(end, Exception):
                raise end
            return ended(job, end)
        if job.resources.ram_mib < self.needs_mib.get(x, 0):
            return ended(job, Reason.OUT_OF_MEMORY)
        job.stdout.write_text(f"{x} with {ram}")
        return 0


def prepare(directory, document, machine, **settings):
    run = drive(directory, document, tries=9, **{"retries": 0, **settings})
    run.backend._handler = machine
    return run


class TestMemory:
    async def test_a_killed_tool_is_bound_anew_with_more(self, tmp_path):
        machine = Machine(needs_mib={"x": 300})
        run = prepare(tmp_path, ONE, machine)
        assert await run(n="x") == {"r": "x with 400"}
        assert [ram for _, ram in machine.had] == [100, 200, 400]
        assert run.told("a") == [
            StepEventKind.STARTED,
            StepEventKind.RETRYING,
            StepEventKind.RETRYING,
            StepEventKind.SUCCEEDED,
        ]

    async def test_the_next_run_starts_with_what_the_document_asks_for(self, tmp_path):
        for _ in range(2):
            machine = Machine(needs_mib={"x": 150})
            assert await prepare(tmp_path, ONE, machine)(n="x") == {"r": "x with 200"}
            assert machine.had == [("x", 100), ("x", 200)]

    @pytest.mark.parametrize("limit", ["max_ram_mib", "memory_most_mib"])
    async def test_it_grows_no_further_than_the_run_may(self, tmp_path, limit):
        machine = Machine(needs_mib={"x": 250})
        assert await prepare(tmp_path, ONE, machine, **{limit: 250})(n="x") == {"r": "x with 250"}
        assert machine.had == [("x", 100), ("x", 200), ("x", 250)]

    async def test_a_call_on_a_cluster_grows_up_to_what_the_run_may_use(self, tmp_path):
        machine = Machine(needs_mib={"x": 150})
        run = prepare(tmp_path, ONE, machine, max_ram_mib=175)
        run.request.backends.cluster = True
        run.backend._capabilities = replace(run.backend.capabilities, schedules=True)
        assert await run(n="x") == {"r": "x with 175"}

    async def test_tries_end(self, tmp_path):
        machine = Machine(needs_mib={"x": 10_000})
        with pytest.raises(MemoryStepError, match="memory limit of 400 MiB"):
            await prepare(tmp_path, ONE, machine, memory_retries=2)(n="x")
        assert len(machine.had) == 3

    async def test_the_cap_ends_them_too(self, tmp_path):
        machine = Machine(needs_mib={"x": 10_000})
        with pytest.raises(MemoryStepError) as found:
            await prepare(tmp_path, ONE, machine, memory_retries=9, memory_factor=4, memory_most_mib=250)(n="x")
        assert [ram for _, ram in machine.had] == [100, 250]
        assert "raise CWL_PREFECT_MEMORY_MOST_MIB" in (found.value.hint or "")
        assert "ramMin" not in (found.value.hint or "")

    @pytest.mark.parametrize("schedules", [False, True], ids=["one machine", "cluster"])
    async def test_fewer_calls_at_once_are_advised_only_where_they_share_a_machine(self, tmp_path, schedules):
        run = prepare(tmp_path, ONE, Machine(needs_mib={"x": 10_000}), memory_retries=0)
        run.backend._capabilities = replace(run.backend.capabilities, schedules=schedules)
        with pytest.raises(MemoryStepError) as found:
            await run(n="x")
        assert "raise ramMin" in (found.value.hint or "")
        assert ("--max-ram" in (found.value.hint or "")) is not schedules

    @pytest.mark.parametrize("threshold", [100, 1], ids=["apart", "grouped"])
    async def test_each_call_of_a_scatter_grows_by_itself(self, tmp_path, threshold):
        machine = Machine(needs_mib={"b": 150, "c": 350})
        run = prepare(tmp_path, MANY, machine, group_threshold=threshold)
        assert await run(ns=["a", "b", "c"]) == {"r": ["a with 100", "b with 200", "c with 400"]}
        assert sorted(machine.had) == [("a", 100), ("b", 100), ("b", 200), ("c", 100), ("c", 200), ("c", 400)]

    async def test_it_can_be_switched_off(self, tmp_path):
        machine = Machine(needs_mib={"x": 300})
        with pytest.raises(MemoryStepError):
            await prepare(tmp_path, ONE, machine, memory_retries=0)(n="x")
        assert len(machine.had) == 1


class TestInfrastructure:
    @pytest.mark.parametrize("reason", [Reason.EVICTED, Reason.PREEMPTED, Reason.NODE_LOST, Reason.LOST])
    async def test_what_is_no_fault_of_the_tool_is_tried_again(self, tmp_path, reason):
        machine = Machine(ends=(reason, reason))
        run = prepare(tmp_path, ONE, machine)
        assert await run(n="x") == {"r": "x with 100"}
        assert len(machine.had) == 3

    async def test_an_engine_that_is_restarted_is_no_failure(self, tmp_path):
        machine = Machine(ends=(BackendError("no Docker engine answers", passing=True),))
        assert await prepare(tmp_path, ONE, machine)(n="x") == {"r": "x with 100"}

    async def test_an_engine_that_refuses_is_one(self, tmp_path):
        machine = Machine(ends=(BackendError("the Docker engine cannot do that"),))
        with pytest.raises(BackendError, match="a: the Docker engine cannot"):
            await prepare(tmp_path, ONE, machine)(n="x")

    async def test_tries_end(self, tmp_path):
        machine = Machine(ends=(Reason.EVICTED,) * 9)
        with pytest.raises(LostStepError, match="evicted"):
            await prepare(tmp_path, ONE, machine, infrastructure_retries=3)(n="x")
        assert len(machine.had) == 4

    async def test_faults_of_the_tool_are_counted_apart(self, tmp_path):
        machine = Machine(needs_mib={"x": 150}, ends=(Reason.EVICTED,))
        run = prepare(tmp_path, ONE, machine, infrastructure_retries=1, memory_retries=1)
        assert await run(n="x") == {"r": "x with 200"}

    async def test_a_time_limit_is_final(self, tmp_path):
        machine = Machine(ends=(Reason.TIMED_OUT,))
        with pytest.raises(StepError, match="time limit"):
            await prepare(tmp_path, ONE, machine, on_error=OnError.STOP)(n="x")
        assert len(machine.had) == 1
