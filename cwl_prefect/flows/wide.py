"""Wide scatters: several calls in one task run, each still with its own result, log and error."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from prefect import State

from cwl_prefect.flows.failures import note
from cwl_prefect.flows.run import Run
from cwl_prefect.flows.tasks import GroupWork, Tasks
from cwl_prefect.settings import OnError

T = TypeVar("T")


async def run_groups(
    tasks: Tasks,
    run: Run,
    step: str,
    calls: Sequence[Callable[[], Awaitable[T]]],
    after: Sequence[State[Any]],
    states: list[State[Any]],
) -> list[T]:
    """Run calls in groups, a task run for each, named after the places of its calls, as ``align[0-49]``.

    The next group starts as soon as fewer calls than one group are unfinished, so that machines never wait for a
    straggler while few task runs stand open.

    Raises:
        CwlPrefectError: A call failed; with on_error=continue, only once every group has ended, and the failures of
            other calls are kept with the caller.
    """
    size = run.settings.group_size
    stop = run.settings.on_error is OnError.STOP
    window = _Window(size)
    groups: list[GroupWork[T]] = []
    running: list[asyncio.Task[GroupWork[T]]] = []
    try:
        for start in range(0, len(calls), size):
            groups.append(GroupWork(calls[start : start + size], stop=stop, done=window.done))
            await window.room(failed=lambda: stop and any(_failed(task) for task in running))
            window.add(len(calls[start : start + size]))
            label = f"{step}[{start}-{min(start + size, len(calls)) - 1}]"
            running.append(asyncio.create_task(_run_group(tasks, step, label, groups[-1], after, states)))
        results = await asyncio.gather(*running, return_exceptions=not stop)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    failures = [group.errors[number] for group in groups for number in sorted(group.errors)]
    unexpected = [result for result in results if isinstance(result, BaseException) and result not in failures]
    if unexpected or failures:
        note(run.caller, failures if unexpected else failures[1:])
        raise (*unexpected, *failures)[0]
    return [group.results[number] for group in groups for number in sorted(group.results)]


async def _run_group(
    tasks: Tasks,
    step: str,
    label: str,
    group: GroupWork[T],
    after: Sequence[State[Any]],
    states: list[State[Any]],
) -> GroupWork[T]:
    _, state = await tasks.run(step, label, group, after)
    states.append(state)
    return group


def _failed(task: "asyncio.Task[Any]") -> bool:
    return task.done() and not task.cancelled() and task.exception() is not None


class _Window:
    """Counts calls that are begun and not ended, and wakes who waits for fewer."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._unfinished = 0
        self._changed = asyncio.Event()

    def add(self, count: int) -> None:
        self._unfinished += count

    def done(self) -> None:
        self._unfinished -= 1
        self._changed.set()

    async def room(self, *, failed: Callable[[], bool]) -> None:
        while self._unfinished >= self._most and not failed():
            self._changed.clear()
            await self._changed.wait()
