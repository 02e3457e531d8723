"""Call users back: bounded in time, isolated from the run and from each other, failures logged and counted."""

import asyncio
import inspect
import json
import logging
import os
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from cwl_prefect._lib.cancellation import shielded
from cwl_prefect._lib.threads import in_daemon_thread
from cwl_prefect.engine.records.callback_file import read_callbacks
from cwl_prefect.errors import CwlPrefectError
from cwl_prefect.model.callbacks import Action, Callback, Command, Happening, Level, Moment, Notification, Webhook
from cwl_prefect.model.events import RunEnded, RunObserver, RunStarted, RunState, StepEnded, StepEvent, StepEventKind
from cwl_prefect.settings import Settings

_logger = logging.getLogger(__name__)

AT_ONCE = 8
DRAIN_S = 60.0
"""Seconds that callbacks have after the end of a run."""
DRAIN_CANCELLED_S = 10.0
"""Seconds after its cancellation, since whoever cancelled may kill the process soon."""

_MOMENTS = {
    StepEventKind.SUCCEEDED: Moment.SUCCESS,
    StepEventKind.CACHED: Moment.SUCCESS,
    StepEventKind.FAILED: Moment.FAILURE,
    StepEventKind.SKIPPED: Moment.SKIP,
    StepEventKind.RETRYING: Moment.RETRY,
    StepEventKind.CANCELLED: Moment.CANCEL,
}
_ENDS = {
    RunState.SUCCEEDED: Moment.SUCCESS,
    RunState.FAILED: Moment.FAILURE,
    RunState.CANCELLED: Moment.CANCEL,
}


class Callbacks(RunObserver):
    """Calls the callbacks of one run for what it observes.

    Args:
        callbacks: What is wanted.
    """

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        self._callbacks = tuple(callbacks)
        self._levels = {callback.level for callback in callbacks}
        self._about = Happening(moment=Moment.ALWAYS, level=Level.WORKFLOW, workflow="", run_id="")
        self._places = asyncio.Semaphore(AT_ONCE)
        self._running: set[asyncio.Task[None]] = set()
        self._kinds: dict[str, Counter[Moment]] = {}
        self._cancelled = False
        self.called = 0
        self.failed = 0

    @property
    def observers(self) -> tuple[RunObserver, ...]:
        """What is to be told what happens; nothing, where nobody is to be called."""
        return (self,) if self._callbacks else ()

    def run_started(self, event: RunStarted) -> None:
        """Note which run it is."""
        workflow = event.name if event.plan is None else event.plan.name
        about = replace(self._about, workflow=workflow, run_id=event.flow_run_id)
        self._about = replace(about, run_name=event.name, url=event.url)

    def call_retrying(self, event: StepEvent) -> None:
        """Call whoever wants to know that a call is tried again."""
        self.call_ended(event)

    def call_ended(self, event: StepEvent) -> None:
        """Call whoever wants to know how a call ended."""
        moment = _MOMENTS[event.kind]
        if Level.STEP in self._levels and moment is not Moment.RETRY:
            self._kinds.setdefault(event.step, Counter())[moment] += 1
        if Level.CALL in self._levels:
            call = event.call or event.step
            self._happen(
                replace(self._about, level=Level.CALL, moment=moment, step=event.step, call=call, message=event.message)
            )

    def step_ended(self, event: StepEnded) -> None:
        """Call whoever wants to know how a step ended."""
        if Level.STEP not in self._levels:
            return
        seen, error = set(self._kinds.pop(event.step, Counter())), event.error
        moment = Moment.SKIP if seen == {Moment.SKIP} else Moment.SUCCESS
        if error is not None:
            moment = Moment.CANCEL if isinstance(error, asyncio.CancelledError) else Moment.FAILURE
        message = str(error) if isinstance(error, CwlPrefectError) else None
        self._happen(replace(self._about, level=Level.STEP, moment=moment, step=event.step, message=message))

    def run_ended(self, event: RunEnded) -> None:
        """Call whoever wants to know how the run ended."""
        self._cancelled = event.state is RunState.CANCELLED
        outputs = deepcopy(event.outputs) or None
        self._happen(replace(self._about, moment=_ENDS[event.state], message=event.message, outputs=outputs))

    async def aclose(self) -> None:
        """Wait until all were called, within limits; what is late is cancelled and counts as failed."""
        limit_s = DRAIN_CANCELLED_S if self._cancelled else DRAIN_S
        late = (await asyncio.wait(self._running, timeout=limit_s))[1] if self._running else set()
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=1.0)
            _logger.warning("%d callbacks were not done %g s after the end of the run", len(late), limit_s)
        if self.failed:
            _logger.warning("%d of %d callbacks failed", self.failed, self.called)

    def _happen(self, happening: Happening) -> None:
        happening = replace(happening, when=datetime.now(UTC))
        for callback in self._callbacks:
            if callback.wants(happening):
                task = asyncio.create_task(self._call(callback, happening))
                self._running.add(task)
                task.add_done_callback(self._running.discard)

    async def _call(self, callback: Callback, happening: Happening) -> None:
        self.called += 1
        try:
            async with self._places, asyncio.timeout(callback.timeout_s):
                await act(callback.action, happening)
        except TimeoutError:
            self._fails(callback, happening, f"it took longer than {callback.timeout_s:g} s")
        except asyncio.CancelledError:
            self._fails(callback, happening, "it was not done in time")
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever users do must not touch the run
            self._fails(callback, happening, f"{type(error).__name__}: {error}")

    def _fails(self, callback: Callback, happening: Happening, why: str) -> None:
        self.failed += 1
        _logger.warning("callback %s for '%s' failed: %s", describe(callback.action), happening.summary, why)


def describe(action: Action) -> str:
    """Name an action in logs, without what may be secret in addresses and arguments."""
    match action:
        case Command():
            return f"command {action.arguments[0]}"
        case Webhook():
            return f"webhook of {urlsplit(action.url).hostname}"
        case Notification():
            return f"notification {action.block}"
        case _:
            return f"{getattr(action, '__module__', '?')}:{getattr(action, '__qualname__', type(action).__name__)}"


async def act(action: Action, happening: Happening) -> None:
    """Do what a callback asks for.

    Raises:
        Exception: Whatever goes wrong.
    """
    match action:
        case Command():
            await _run_command(action, happening)
        case Webhook():
            await _post(action, happening)
        case Notification():
            await _notify(action, happening)
        case _:
            await _call_function(action, happening)


async def _call_function(function: Callable[[Happening], object], happening: Happening) -> None:
    if inspect.iscoroutinefunction(function):
        await function(happening)
        return
    found = await in_daemon_thread(lambda: function(happening))
    if inspect.isawaitable(found):
        await found


async def _run_command(command: Command, happening: Happening) -> None:
    process = await asyncio.create_subprocess_exec(
        *command.arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        _, said = await process.communicate(json.dumps(happening.as_object()).encode())
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await shielded(process.wait())
        raise
    if process.returncode != 0:
        last = said.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise RuntimeError(f"exit code {process.returncode}{''.join(f', {line[:500]}' for line in last)}")


async def _post(webhook: Webhook, happening: Happening) -> None:
    import httpx

    async with (
        httpx.AsyncClient(timeout=None) as client,  # noqa: S113 - the callback's own limit holds
        client.stream(
            "POST", webhook.url, json=happening.as_object(), headers=dict(webhook.headers)
        ) as answer,  # whose body nobody needs: it may have no end
    ):
        pass
    if answer.is_error or answer.is_redirect:
        raise RuntimeError(f"the answer was {answer.status_code}")


async def _notify(notification: Notification, happening: Happening) -> None:
    from prefect.blocks.core import Block

    block: Any = await Block.aload(notification.block)
    notify = getattr(block, "anotify", None) or block.notify
    lines = [happening.message, happening.url]
    sent = notify("\n".join(line for line in lines if line) or happening.summary, happening.summary)
    if inspect.isawaitable(sent):
        await sent


def all_callbacks(settings: Settings, given: Sequence[Callback]) -> tuple[Callback, ...]:
    """Return the callbacks that a caller wants, and those of the settings' file.

    Raises:
        UsageError: The file cannot be used.
    """
    return (*given, *(read_callbacks(settings.callbacks) if settings.callbacks is not None else ()))
