"""Wide scatters: several calls in one task run, each still with its own result, log and error."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from prefect import State

from cwl_prefect._lib.cancellation import cancel_and_wait
from cwl_prefect.errors import CwlPrefectError
from cwl_prefect.flows.execution.failures import first_failure, note
from cwl_prefect.flows.execution.gates import Gate, NotStartedError, any_closed
from cwl_prefect.flows.execution.run import Run
from cwl_prefect.flows.execution.task_runs import GroupWork, Tasks
from cwl_prefect.settings import OnError

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class WideScatter(Generic[T]):
    """A scatter whose calls share task runs."""

    step: str
    calls: Sequence[Callable[[], Awaitable[T]]]
    gates: Sequence[Gate] = ()


async def run_groups(
    tasks: Tasks, run: Run, scatter: WideScatter[T], after: Sequence[State[object]], states: list[State[object]]
) -> list[T | CwlPrefectError]:
    """Run calls in groups, a task run for each, named after the places of its calls, as ``align[0-49]``.

    The next group starts as soon as fewer calls than one group are unfinished, so that machines never wait for a
    straggler while few task runs stand open. None begins once a gate is closed.

    Returns:
        What each call gave, or its failure, which with on_error=stop is raised instead.

    Raises:
        CwlPrefectError: A task run could not begin, or a call failed and on_error is stop.
    """
    size = run.settings.group_size
    stop = run.settings.on_error is OnError.STOP
    window = _Window(size, stop=stop)
    step, calls = scatter.step, scatter.calls
    groups: list[GroupWork[T]] = []
    running: list[asyncio.Task[State[object]]] = []
    try:
        for start in range(0, len(calls), size):
            if not await window.room() or any_closed(scatter.gates):
                break
            part = calls[start : start + size]
            group = GroupWork(part, stop=stop, ended=window.ended)
            label = group_label(step, start, len(part))
            window.begun(len(part))
            groups.append(group)
            running.append(asyncio.create_task(window.watch(group, partial(tasks.run, step, label, group, after))))
        results = await asyncio.gather(*running, return_exceptions=not stop)
    finally:
        await cancel_and_wait(*running)
    states.extend(result for result in results if not isinstance(result, BaseException))
    ends = [end for group in groups for end in group.ends]
    ends += [NotStartedError(f"{step}: some of its calls were not started.", step=step)] * (len(calls) - len(ends))
    _raise_first(ends, [result for result in results if isinstance(result, BaseException)], run)
    return ends


def group_label(step: str, start: int, count: int) -> str:
    """Name the task run of several calls of a scatter, as ``align[0-49]``."""
    return f"{step}[{start}-{start + count - 1}]"


def _raise_first(ends: Sequence[T | CwlPrefectError], raised: Sequence[BaseException], run: Run) -> None:
    """Raise what went wrong beside the calls, or else the first failure of a call where that stops the others."""
    failures = [end for end in ends if isinstance(end, CwlPrefectError)]
    unexpected = [error for error in raised if error not in failures]
    if unexpected or (failures and run.settings.on_error is OnError.STOP):
        first = first_failure([*unexpected, *failures])
        note(run.progress, [error for error in failures if error is not first])
        raise first


class _Window:
    """Counts calls that are begun and not ended; wakes who waits for fewer, or for a failure that stops the rest."""

    def __init__(self, most: int, *, stop: bool) -> None:
        self._most = most
        self._stop = stop
        self._unfinished = 0
        self._broken = False
        self._changed = asyncio.Event()

    def begun(self, count: int) -> None:
        """Count calls that are begun now."""
        self._unfinished += count

    def ended(self) -> None:
        """Count one call less, and wake who waits."""
        self._unfinished -= 1
        self._changed.set()

    async def watch(
        self, group: GroupWork[Any], begin: Callable[[], Awaitable[tuple[object, State[object]]]]
    ) -> State[object]:
        """Begin a group's task run and wait for its end, and for none of its calls any longer."""
        try:
            _, state = await begin()
        except Exception:
            self._broken = self._stop
            self._changed.set()
            raise
        finally:
            group.close()
        return state

    async def room(self) -> bool:
        """Wait until more calls may begin; tells whether any should."""
        while self._unfinished >= self._most and not self._broken:
            self._changed.clear()
            await self._changed.wait()
        return not self._broken
