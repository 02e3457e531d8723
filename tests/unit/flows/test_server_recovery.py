import json
from datetime import UTC, datetime

import httpx
import pytest

from cwl_prefect.flows import server_recovery
from cwl_prefect.flows.server_recovery import MOST, recovered

API = "http://127.0.0.1:1/api/"


class Api:
    """Stands in for a server whose predecessor was killed."""

    def __init__(self, runs: dict[str, str], open_runs: dict[str, str]) -> None:
        self.runs = runs  # flow runs with their states
        self.open = open_runs  # task runs with their flow runs
        self.torn: list[dict[str, object]] = []  # the latest task runs, as they were written down
        self.closed: dict[str, str] = {}
        self.forgets = False  # what is closed seems to go on

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path, asked = request.url.path.removeprefix("/api/"), json.loads(request.content)
        if path == "task_runs/filter" and "offset" in asked:
            assert asked["sort"] == "ID_DESC"
            return httpx.Response(200, json=self.torn[asked["offset"] :][: asked["limit"]])
        if path == "task_runs/filter":
            chosen = asked["flow_runs"]
            assert datetime.fromisoformat(chosen["end_time"]["before_"]) <= datetime.now(UTC)
            assert set(asked["task_runs"]["state"]["type"]["any_"]) == {"PENDING", "RUNNING", "SCHEDULED"}
            ended = {run for run, state in self.runs.items() if state in chosen["state"]["type"]["any_"]}
            found = [{"id": one, "flow_run_id": run} for one, run in self.open.items() if run in ended]
            return httpx.Response(200, json=found[: asked["limit"]])
        if path == "flow_runs/filter":
            ids = asked["flow_runs"]["id"]["any_"]
            return httpx.Response(200, json=[{"id": run, "state_type": self.runs[run]} for run in ids])
        _, task_run, action = path.split("/")
        assert (action, asked["force"]) == ("set_state", True)
        self.closed[task_run] = asked["state"]["type"]
        if not self.forgets:
            self.open.pop(task_run, None)
        return httpx.Response(201, json={})


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(server_recovery, "HEARD_S", 0)


async def test_task_runs_of_runs_that_had_ended_are_closed():
    api = Api(
        {"done": "COMPLETED", "failed": "FAILED", "going": "RUNNING"},
        {"a": "done", "b": "failed", "c": "going", "d": "done"},
    )
    await recovered(API, transport=httpx.MockTransport(api))
    assert api.closed == {"a": "COMPLETED", "b": "CRASHED", "d": "COMPLETED"}


async def test_there_may_be_more_than_prefect_gives_at_once():
    api = Api({"done": "COMPLETED"}, {str(number): "done" for number in range(MOST + 1)})
    await recovered(API, transport=httpx.MockTransport(api))
    assert len(api.closed) == MOST + 1


async def test_it_ends_although_nothing_changes():
    api = Api({"done": "COMPLETED"}, {"a": "done"})
    api.forgets = True
    await recovered(API, transport=httpx.MockTransport(api))
    assert api.closed == {"a": "COMPLETED"}


async def test_task_runs_that_were_written_down_without_their_states_get_them():
    def row(name: str, kind: str, state: dict[str, str] | None) -> dict[str, object]:
        return {"id": name, "state": state, "state_type": kind, "state_name": kind.title()}

    api = Api({}, {})
    whole = [row(f"whole-{number}", "COMPLETED", {"type": "COMPLETED"}) for number in range(MOST)]
    api.torn = [row("a", "COMPLETED", None), row("b", "FAILED", None), row("going", "RUNNING", None), *whole]
    api.torn.append(row("c", "CANCELLED", None))
    await recovered(API, transport=httpx.MockTransport(api))
    assert api.closed == {"a": "COMPLETED", "b": "FAILED", "c": "CANCELLED"}


@pytest.mark.parametrize("answer", [httpx.Response(500), httpx.Response(200, json=True), httpx.Response(200, text="?")])
async def test_a_failure_is_told_to_the_log_and_nobody_else(answer, capsys):
    await recovered(API, transport=httpx.MockTransport(lambda _: answer))
    assert "may seem to go on" in capsys.readouterr().err
