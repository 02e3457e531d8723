"""Tool calls as Prefect task runs: one for each call, or one for a group of calls of a wide scatter."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from copy import copy
from typing import Any, Generic, Protocol, TypeVar, cast

from prefect import State, Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import TaskRun
from prefect.states import Cancelled, Completed
from prefect.utilities.annotations import opaque

from cwl_prefect._lib.cancellation import cancel_and_wait
from cwl_prefect.errors import CwlPrefectError
from cwl_prefect.flows.endings import note_ending
from cwl_prefect.flows.execution.failures import result_of
from cwl_prefect.flows.execution.gates import NotStartedError
from cwl_prefect.model.job import StepResult
from cwl_prefect.model.values import in_utf8
from cwl_prefect.settings import Settings

T = TypeVar("T")
JITTER = 0.3
MOST_PAUSES = 50  # Prefect's own bound
MOST_EDGES = 50  # graph edges into one task run; a wide scatter feeding a wide scatter would draw its square


_CACHED_IN_GROUP: ContextVar[list[bool] | None] = ContextVar("cwl_prefect_cached_in_group", default=None)


def tell_group(*, cached: bool) -> None:
    """Report to the group that a call belongs to, if any, whether the call was cached."""
    found = _CACHED_IN_GROUP.get()
    if found is not None:
        found.append(cached)


class Work(Protocol):
    """Something that a task run carries through its tries."""

    async def attempt(self) -> object:
        """Try once; gives the result or raises CwlPrefectError."""
        ...


class Tasks(Protocol):
    """What carries calls through task runs."""

    async def run(
        self, step: str, label: str, work: Work, after: Sequence[State[object]]
    ) -> tuple[object, State[object]]:
        """Carry work through a task run."""
        ...

    async def skip(self, step: str, label: str, after: Sequence[State[object]]) -> State[object]:
        """Show a skipped call as a task run of its own."""
        ...


async def _is_tried_again(_task: Task[Any, Any], _task_run: TaskRun, state: State[object]) -> bool:
    """Check whether another try is due, as the call itself has settled."""
    try:
        await result_of(state)
    except CwlPrefectError as error:
        return error.try_again
    except Exception:  # noqa: BLE001 - any other failure is final
        return False
    return False


@task(
    name="step",
    task_run_name="{label}",
    persist_result=False,
    cache_policy=NO_CACHE,
    retry_condition_fn=_is_tried_again,
    retry_jitter_factor=JITTER,
)
async def _attempt(label: str, work: Work) -> object:
    try:
        result = await work.attempt()
    except asyncio.CancelledError:
        return Cancelled(message=f"{label} was stopped")  # Prefect would say that it crashed
    if isinstance(result, StepResult | GroupWork) and result.cached:
        return Completed(name="Cached", message=in_utf8(f"{label}: {result.note}"), data=result)
    if isinstance(result, StepResult | GroupWork) and result.note is not None:
        return Completed(message=in_utf8(result.note), data=result)
    return result


@task(name="step", task_run_name="{label}", persist_result=False, cache_policy=NO_CACHE)
async def _skip(label: str) -> State[None]:
    return Completed(name="Skipped", message=f"{label}: its when is false")


class StepTasks:
    """Carries calls through task runs: a task run is named after its call, its task after the step."""

    def __init__(self, settings: Settings) -> None:
        delays = retry_delays(settings)
        self._attempt = _attempt.with_options(retries=most_retries(settings), retry_delay_seconds=delays or 0)

    async def run(
        self, step: str, label: str, work: Work, after: Sequence[State[object]]
    ) -> tuple[object, State[object]]:
        """Carry work through a task run.

        Args:
            step: Path of the step, without indexes of its own.
            label: Name of the task run.
            work: What to try.
            after: States of the task runs whose results it uses, for the graph.

        Raises:
            CwlPrefectError: Its last try failed.
        """
        call = cast("Callable[..., Awaitable[State[object]]]", _named(self._attempt, step))
        state = await call(label, opaque(work), wait_for=edges_from(after), return_state=True)
        note_ending(state)
        if state.is_cancelled():
            raise asyncio.CancelledError
        try:
            return await result_of(state), state
        except CwlPrefectError as error:
            error.told = True
            raise

    async def skip(self, step: str, label: str, after: Sequence[State[object]]) -> State[object]:
        """Show a skipped call as a task run of its own."""
        call = cast("Callable[..., Awaitable[State[object]]]", _named(_skip, step))
        state = await call(label, wait_for=edges_from(after), return_state=True)
        note_ending(state)
        return state


def _named(task: Task[Any, Any], step: str) -> Task[Any, Any]:
    """Return a task with the name of a step; ``with_options`` would read the source of its function each time."""
    found = copy(task)
    found.name = step
    return found


def edges_from(after: Sequence[State[object]]) -> list[State[object]]:
    """Return what Prefect's graph draws edges from."""
    return list(after[:MOST_EDGES])


def retry_delays(settings: Settings) -> list[float]:
    """Return the pause before each further try; the last holds for all after it."""
    numbers = range(min(most_retries(settings), MOST_PAUSES))
    return [min(settings.retry_delay_s * 2.0**number, settings.retry_delay_most_s) for number in numbers]


def most_retries(settings: Settings) -> int:
    """Return how many further tries there may be for all causes together."""
    return settings.retries + settings.memory_retries + settings.infrastructure_retries


class GroupWork(Generic[T]):
    """Several calls of a wide scatter in one task run.

    Each call keeps its own result; a further try repeats only those for which another try is due.

    Args:
        calls: What to call.
        stop: Whether one failure ends the others.
        ended: Told once for each call: when it ends for the first time, or will not begin.
    """

    def __init__(self, calls: Sequence[Callable[[], Awaitable[T]]], *, stop: bool, ended: Callable[[], None]) -> None:
        self._calls = calls
        self._stop = stop
        self._tell = ended
        self.results: dict[int, T] = {}
        self.errors: dict[int, CwlPrefectError] = {}
        self._ended: set[int] = set()
        self._cached: list[bool] = []

    @property
    def cached(self) -> bool:
        """Whether all its calls were cached."""
        return bool(self._cached) and all(self._cached)

    @property
    def note(self) -> str:
        """What became of its calls, for its task run."""
        cached = sum(self._cached)
        return f"{len(self.results)} calls{f', {cached} of them cached' if cached else ''}"

    @property
    def ends(self) -> "list[T | CwlPrefectError]":
        """What each call that ended gave, or its failure, in the order of the calls."""
        numbers = sorted(self.results.keys() | self.errors.keys())
        return [self.results[number] if number in self.results else self.errors[number] for number in numbers]

    async def attempt(self) -> "GroupWork[T]":
        """Try every call that has no result yet and may still have one.

        Raises:
            CwlPrefectError: The first failure in the order of the calls; one with another try due before any other.
        """
        self.errors = {number: error for number, error in self.errors.items() if not error.try_again}
        waiting = [n for n in range(len(self._calls)) if n not in self.results and n not in self.errors]
        token = _CACHED_IN_GROUP.set(self._cached)
        tasks = [asyncio.create_task(self._one(number)) for number in waiting]
        _CACHED_IN_GROUP.reset(token)
        try:
            await asyncio.gather(*tasks)
        finally:
            await cancel_and_wait(*tasks)
        if self.errors:
            raise self.errors[min(self.errors, key=self._urgency)]
        return self

    def _urgency(self, number: int) -> tuple[bool, bool, int]:
        error = self.errors[number]
        return (not error.try_again, isinstance(error, NotStartedError), number)

    async def _one(self, number: int) -> None:
        try:
            self.results[number] = await self._calls[number]()
        except CwlPrefectError as error:
            self.errors[number] = error
            if self._stop and not error.try_again:
                raise
        finally:
            self._end(number)

    def close(self) -> None:
        """Report that none of the calls will run any more."""
        for number in range(len(self._calls)):
            self._end(number)

    def _end(self, number: int) -> None:
        if number not in self._ended:
            self._ended.add(number)
            self._tell()
