import json
from datetime import UTC, datetime

import pytest

from cwl_prefect.errors import ServerError
from cwl_prefect.server import closing
from cwl_prefect.server.closing import (
    MOST,
    Ending,
    close_after_kill,
    close_left_open,
    close_task_runs,
    nested_flow_runs,
)


class Api:
    """Stands in for an API that takes task runs for unfinished."""

    def __init__(self, runs: dict[str, str], open_runs: dict[str, str]) -> None:
        self.runs = runs  # flow runs with their states
        self.open = open_runs  # task runs with their flow runs
        self.torn: list[dict[str, object]] = []  # the latest task runs, as they were written down
        self.closed: dict[str, str] = {}
        self.forgets = False  # what is closed seems to go on

    async def post(self, path, content, **ids) -> bytes:
        return json.dumps(self.answer(path, content, **ids)).encode()

    def answer(self, path, content, **ids) -> object:
        if path == "/task_runs/{id}/set_state":
            assert content["force"]
            self.closed[ids["id"]] = content["state"]["type"]
            if not self.forgets:
                self.open.pop(ids["id"], None)
            return {}
        assert (path, content["sort"]) == ("/task_runs/filter", "ID_DESC")
        if "offset" in content:
            return self.torn[content["offset"] :][: content["limit"]]
        assert set(content["task_runs"]["state"]["type"]["any_"]) == {"PENDING", "RUNNING", "SCHEDULED"}
        meant = {run for run, state in self.runs.items() if self.is_meant(content["flow_runs"], run, state)}
        return [{"id": one} for one, run in self.open.items() if run in meant][: content["limit"]]

    def is_meant(self, flow_runs, run, state) -> bool:
        if "id" in flow_runs:
            return run in flow_runs["id"]["any_"]
        assert datetime.fromisoformat(flow_runs["end_time"]["before_"]) <= datetime.now(UTC)
        return state in flow_runs["state"]["type"]["any_"]


class NestingApi:
    """Stands in for an API that knows the flow runs and task runs of two runs and their drivers."""

    def __init__(self) -> None:
        # Each with its parent, its state and whether an earlier driver began it.
        self.flow_runs = {
            "inner": ("mine", "RUNNING", True),
            "innermost": ("inner", "PENDING", True),
            "ended": ("mine", "COMPLETED", True),
            "under-ended": ("ended", "RUNNING", True),
            "own": ("mine", "RUNNING", False),
            "elsewhere": ("other", "RUNNING", True),
        }
        self.task_runs = {
            "of-mine": ("mine", "RUNNING", True),
            "of-innermost": ("innermost", "SCHEDULED", True),
            "of-under-ended": ("under-ended", "RUNNING", True),
            "own-of-mine": ("mine", "RUNNING", False),
            "of-own": ("own", "RUNNING", False),
            "of-elsewhere": ("elsewhere", "RUNNING", True),
        }
        self.closed: list[str] = []

    async def post(self, path, content, **ids) -> bytes:
        kind = path.split("/")[1]
        known = getattr(self, kind)
        if path.endswith("/set_state"):
            assert (content["force"], content["state"]["type"]) == (True, "CRASHED")
            self.closed.append(ids["id"])
            parent, _, older = known[ids["id"]]
            known[ids["id"]] = (parent, "CRASHED", older)
            return b"{}"
        asked = content[kind]
        parents = asked["parent_flow_run_id"]["any_"] if kind == "flow_runs" else content["flow_runs"]["id"]["any_"]
        states = asked.get("state", {"type": {"any_": ["COMPLETED", "RUNNING", "PENDING"]}})["type"]["any_"]
        assert datetime.fromisoformat(asked["expected_start_time"]["before_"]) == BEGAN
        found = [
            {"id": name, "state_type": state}
            for name, (parent, state, older) in known.items()
            if older and parent in parents and state in states
        ]
        return json.dumps(found).encode()


BEGAN = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(closing, "HEARD_S", 0)


async def test_those_of_one_run_are_closed_although_there_are_more_than_prefect_gives_at_once():
    api = Api({"mine": "RUNNING", "other": "RUNNING"}, {str(number): "mine" for number in range(MOST + 1)})
    api.open["elsewhere"] = "other"
    await close_task_runs(api.post, {"id": {"any_": ["mine"]}}, lambda _: Ending.crashed("Its driver was killed"))
    assert len(api.closed) == MOST + 1
    assert set(api.closed.values()) == {"CRASHED"}
    assert set(api.open) == {"elsewhere"}


async def test_task_runs_of_runs_that_had_ended_are_closed():
    api = Api(
        {"done": "COMPLETED", "failed": "FAILED", "going": "RUNNING"},
        {"a": "done", "b": "failed", "c": "going", "d": "done"},
    )
    await close_after_kill(api.post)
    assert api.closed == {"a": "COMPLETED", "b": "CRASHED", "d": "COMPLETED"}


async def test_it_ends_although_nothing_changes():
    api = Api({"done": "COMPLETED"}, {"a": "done"})
    api.forgets = True
    await close_after_kill(api.post)
    assert api.closed == {"a": "COMPLETED"}


async def test_task_runs_that_were_written_down_without_their_states_get_them():
    def row(name: str, kind: str, state: dict[str, str] | None) -> dict[str, object]:
        return {"id": name, "state": state, "state_type": kind, "state_name": kind.title()}

    api = Api({}, {})
    whole = [row(f"whole-{number}", "COMPLETED", {"type": "COMPLETED"}) for number in range(MOST)]
    api.torn = [row("a", "COMPLETED", None), row("b", "FAILED", None), row("going", "RUNNING", None), *whole]
    api.torn.append(row("c", "CANCELLED", None))
    await close_after_kill(api.post)
    assert api.closed == {"a": "COMPLETED", "b": "FAILED", "c": "CANCELLED"}


@pytest.mark.parametrize("answer", [b"true", b"?", ServerError("it answers 500")], ids=["no-list", "no-json", "500"])
async def test_a_failure_is_told_to_the_log_and_nobody_else(answer, capsys):
    async def post(*_, **__):
        if isinstance(answer, Exception):
            raise answer
        return answer

    await close_after_kill(post)
    assert "may seem to go on" in capsys.readouterr().err


async def test_what_a_killed_driver_left_open_is_closed_however_deep_and_nothing_else():
    api = NestingApi()
    await close_left_open(api.post, "mine", BEGAN)
    assert sorted(api.closed) == ["inner", "innermost", "of-innermost", "of-mine", "of-under-ended", "under-ended"]


async def test_nested_flow_runs_come_after_those_that_they_are_nested_in():
    found = [each["id"] for each in await nested_flow_runs(NestingApi().post, "mine", BEGAN)]
    assert found == ["inner", "ended", "innermost", "under-ended"]
