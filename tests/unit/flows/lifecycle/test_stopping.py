import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace
from uuid import uuid4

import pytest
from prefect import State
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.context import FlowRunContext
from prefect.utilities.timeout import timeout_async

from cwl_prefect.errors import InterruptedRunError, StepError
from cwl_prefect.flows.execution.run import Progress, RunReport, Stopped
from cwl_prefect.flows.lifecycle import stopping
from cwl_prefect.flows.lifecycle.signalled import heeding
from cwl_prefect.flows.lifecycle.stopping import FOREVER, ended_state, note_wish, stoppable
from cwl_prefect.settings import OnError


class Api:
    """Answers with one state after the other; the last one stays."""

    def __init__(self) -> None:
        self.states: list[State | Exception | None] = []

    async def read_flow_run(self, _):
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if isinstance(state, Exception):
            raise state
        return SimpleNamespace(state=state)


class Endless:
    """Works until it is stopped, and then cleans up for a while."""

    cleaned = False

    async def work(self):
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)
            self.cleaned = True


@pytest.fixture
def api(monkeypatch):
    api = Api()

    @asynccontextmanager
    async def client():
        yield api

    monkeypatch.setattr(stopping, "get_client", client)
    monkeypatch.setattr(stopping, "POLL_INTERVAL_S", 0.01)
    return api


@pytest.fixture(autouse=True)
def flow_run():
    with FlowRunContext.model_construct(flow_run=FlowRun(id=uuid4(), flow_id=uuid4(), name="brave-otter")):
        yield


@pytest.fixture
def progress():
    return Progress()


def report(progress, error):
    return RunReport(outcome=progress.outcome(OnError.STOP), errors=(error,))


async def test_work_that_nobody_stops_gives_its_result(api, progress):
    api.states = [RuntimeError("the server is away"), None, State(type=StateType.RUNNING)]

    async def work():
        await asyncio.sleep(0.1)
        return 7

    assert await stoppable(work(), progress) == 7
    assert len(api.states) == 1


async def test_an_error_of_the_work_is_its_own(api, progress):
    async def work():
        raise StepError("it broke")

    with pytest.raises(StepError, match="it broke"):
        await stoppable(work(), progress)


@pytest.mark.parametrize(
    ("name", "cancelled", "ending"),
    [("Cancelling", True, "Cancelled"), ("Interrupting", False, "Interrupted")],
)
async def test_work_is_ended_with_its_cleanup_when_somebody_asks(api, progress, name, cancelled, ending):
    api.states = [State(type=StateType.RUNNING), State(type=StateType.CANCELLING, name=name, message="by ada")]
    endless = Endless()
    with pytest.raises(InterruptedRunError, match="by ada") as raised:
        await stoppable(endless.work(), progress)
    assert endless.cleaned
    assert progress.stopped is (Stopped.CANCELLED if cancelled else Stopped.INTERRUPTED)
    state = ended_state(report(progress, raised.value))
    assert (state.type, state.name) == (StateType.CANCELLED, ending)


@pytest.mark.parametrize(("message", "resumable"), [("by ada", True), (f"by ada{FOREVER}", False)])
async def test_a_run_whose_workspaces_are_removed_is_not_said_to_be_resumable(api, progress, message, resumable):
    api.states = [State(type=StateType.CANCELLING, name="Cancelling", message=message)]
    with pytest.raises(InterruptedRunError) as raised:
        await stoppable(Endless().work(), progress)
    assert ("runs resume" in (raised.value.hint or "")) is resumable


async def test_a_cancelled_caller_waits_for_the_cleanup(api, progress):
    api.states = [State(type=StateType.RUNNING)]
    endless = Endless()
    task = asyncio.create_task(stoppable(endless.work(), progress))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert endless.cleaned
    assert progress.stopped is None


async def test_a_run_that_takes_longer_than_its_flow_may_is_known_to_the_cleanup(api, progress):
    api.states = [State(type=StateType.RUNNING)]
    known: list[bool] = []

    async def work():
        try:
            await asyncio.sleep(60)
        finally:
            known.append(progress.stopped is Stopped.TIMED_OUT)

    with pytest.raises(TimeoutError), timeout_async(seconds=0.1):
        await stoppable(work(), progress)
    assert known == [True]


async def test_a_signal_interrupts_a_run_which_can_still_tell_how_it_ended(api, progress):
    api.states, endless = [None], Endless()
    with heeding(lambda: True):
        task = asyncio.create_task(stoppable(endless.work(), progress))
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(InterruptedRunError, match="interrupted by a signal") as caught:
        await task
    assert (endless.cleaned, progress.stopped) == (True, Stopped.INTERRUPTED)
    assert ended_state(report(progress, caught.value)).name == "Interrupted"


@pytest.mark.parametrize(
    ("state", "flags"),
    [
        (State(type=StateType.CANCELLING), (True, False)),
        (State(type=StateType.CANCELLING, name="Interrupting"), (False, True)),
        (State(type=StateType.RUNNING), (False, False)),
        (RuntimeError("the server is away"), (False, False)),
    ],
    ids=["cancelled", "interrupted", "nobody-asked", "no-answer"],
)
async def test_a_run_that_its_worker_ends_knows_why(api, progress, state, flags):
    api.states = [state]
    await note_wish(progress)
    assert (progress.stopped is Stopped.CANCELLED, progress.stopped is Stopped.INTERRUPTED) == flags
