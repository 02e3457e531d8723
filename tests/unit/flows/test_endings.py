import json
import time
from uuid import UUID, uuid4

import httpx
import pytest
from prefect import State
from prefect.client.schemas.objects import StateDetails, StateType

from cwl_prefect.flows import endings
from cwl_prefect.flows.endings import closed_for, note_ending, told_again
from cwl_prefect.server import closing
from cwl_prefect.server.closing import Ending
from cwl_prefect.server.local_server import ApiEndpoint, server_files
from cwl_prefect.server.state import ServerState
from cwl_prefect.settings import Settings

FLOW_RUN = uuid4()
OURS = ApiEndpoint(url="http://127.0.0.1:1/api", ui_url=None, started=False, ours=True)


def ended(task_run_id, kind=StateType.COMPLETED, name=None, data=None) -> State:
    details = StateDetails(task_run_id=task_run_id, flow_run_id=FLOW_RUN)
    return State(type=kind, name=name, message=f"told of {task_run_id}", data=data, state_details=details)


class Server:
    """Stands in for the API and the process of the local server."""

    def __init__(self, settings, monkeypatch) -> None:
        self.files = server_files(settings)
        self.files.directory.mkdir(parents=True)
        self.pid = 1
        self.lives = True
        self.open: list = []
        self.closed: dict = {}
        self.questions = 0
        self.failure: Exception | None = None
        monkeypatch.setattr(endings, "LocalApi", lambda **_: self)
        monkeypatch.setattr(endings, "read_state", lambda _: self.state() if self.lives else None)
        monkeypatch.setattr(endings, "is_killed", lambda _: not self.lives and bool(self.files.record.read_text()))
        monkeypatch.setattr(endings, "WRITTEN_S", 0)
        self.files.record.write_text(self.state().encode())

    def state(self) -> ServerState:
        return ServerState(pid=self.pid, host="h", port=1, started_at=1.0, prefect_version="3", idle_s=1.0)

    def killed(self, *, started_again: bool = True) -> None:
        self.pid, self.lives = self.pid + 1, started_again

    async def post(self, path, content, **ids):
        self.questions += 1
        if self.failure is not None:
            raise self.failure
        if path == "/task_runs/filter":
            assert content["flow_runs"] == {"id": {"any_": [str(FLOW_RUN)]}}
            assert set(content["task_runs"]["state"]["type"]["any_"]) == {"PENDING", "RUNNING", "SCHEDULED"}
            return json.dumps([{"id": str(each)} for each in self.open[: content["limit"]]])
        task_run = UUID(ids["id"])
        assert (path, content["force"]) == ("/task_runs/{id}/set_state", True)
        self.open.remove(task_run)
        self.closed[task_run] = Ending(**content["state"])
        return "{}"


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(home=tmp_path)


@pytest.fixture
def server(settings, monkeypatch) -> Server:
    return Server(settings, monkeypatch)


@pytest.mark.parametrize("started_again", [True, False], ids=["is-there-again", "is-not-there-yet"])
async def test_what_a_killed_server_had_not_written_down_is_told_again(settings, server, started_again):
    done, failed, cached, lost, written = (uuid4() for _ in range(5))
    async with told_again(OURS, settings):
        note_ending(ended(done))
        note_ending(ended(failed, StateType.FAILED))
        note_ending(ended(cached, name="Cached", data={"large": "result"}))
        note_ending(ended(written))
        server.killed(started_again=started_again)
        server.open = [done, failed, cached, lost]
    kinds = {task_run: (StateType(state.type), state.name) for task_run, state in server.closed.items()}
    assert kinds == {
        done: (StateType.COMPLETED, "Completed"),
        failed: (StateType.FAILED, "Failed"),
        cached: (StateType.COMPLETED, "Cached"),
        lost: (StateType.CRASHED, "Crashed"),  # nobody knows: it was cancelled with its call
    }
    assert server.closed[done].message == f"told of {done}"


async def test_more_are_told_than_prefect_gives_at_once(settings, server):
    async with told_again(OURS, settings):
        server.open = [uuid4() for _ in range(closing.MOST + 1)]
        note_ending(ended(server.open[0]))
        server.killed()
    assert len(server.closed) == closing.MOST + 1


async def test_a_server_that_lives_on_is_asked_nothing(settings, server):
    async with told_again(OURS, settings):
        note_ending(ended(uuid4()))
    assert server.questions == 0


async def test_a_server_that_somebody_stopped_is_asked_nothing(settings, server):
    async with told_again(OURS, settings):
        note_ending(ended(uuid4()))
        server.lives = False
        server.files.record.write_text("")
    assert server.questions == 0


async def test_a_configured_api_is_asked_nothing(settings, server):
    async with told_again(ApiEndpoint(url="x", ui_url=None, started=False, ours=False), settings):
        note_ending(ended(uuid4()))
        server.killed()
    assert server.questions == 0


async def test_a_run_does_not_fail_because_nothing_can_be_told(settings, server, caplog):
    async with told_again(OURS, settings):
        note_ending(ended(uuid4()))
        server.killed()
        server.failure = OSError("no route")
    assert "could not be told" in caplog.text


async def test_the_failure_of_a_run_stays_its_failure(settings, server):
    lost = uuid4()

    async def run() -> None:
        async with told_again(OURS, settings):
            note_ending(ended(lost))
            server.killed()
            server.open = [lost]
            raise ValueError("the run's")

    with pytest.raises(ValueError, match="the run's"):
        await run()
    assert lost in server.closed


async def test_nothing_is_kept_where_no_local_server_is_used(settings, server):
    before, meanwhile = uuid4(), uuid4()
    note_ending(ended(before))
    async with told_again(OURS, settings):
        note_ending(ended(meanwhile))
        server.killed()
        server.open = [before, meanwhile]
    assert server.closed[meanwhile].type == "COMPLETED"
    assert server.closed[before].type == "CRASHED"  # how it ended is not known


class Client:
    """Stands for Prefect's client of an API that answers with nothing, or fails."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.asked: list[str] = []
        self._failure = failure

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def request(self, method: str, path: str, **_: object) -> httpx.Response:
        assert method == "POST"
        self.asked.append(path)
        if self._failure is not None:
            raise self._failure
        return httpx.Response(200, json=[])


@pytest.mark.parametrize("failure", [None, OSError("no route")], ids=["answers", "fails"])
async def test_what_killed_drivers_left_open_is_looked_for_at_both_ends_of_a_run_that_goes_on(
    failure, monkeypatch, caplog
):
    client = Client(failure)
    monkeypatch.setattr(endings, "get_client", lambda: client)
    async with closed_for("run", time.time() - endings.WRITTEN_S, again=True):
        before = len(client.asked)
    assert 0 < before < len(client.asked)
    assert ("may seem to go on" in caplog.text) == (failure is not None)


async def test_a_run_of_one_driver_asks_nothing(monkeypatch):
    client = Client()
    monkeypatch.setattr(endings, "get_client", lambda: client)
    async with closed_for("run", time.time(), again=False):
        pass
    assert client.asked == []
