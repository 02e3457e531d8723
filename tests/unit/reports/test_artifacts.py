import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pytest

from cwl_prefect.model.events import RunEnded, RunStarted, RunState, StepEvent, StepEventKind
from cwl_prefect.reports import artifacts as module
from cwl_prefect.reports.artifacts import MOST_ROWS, Artifacts
from cwl_prefect.settings import Keep, Settings
from tests.plans import step, workflow


class Client:
    """An API that keeps artifacts."""

    def __init__(self) -> None:
        self.made: dict[str, SimpleNamespace] = {}
        self.requests = 0

    async def create_artifact(self, artifact):
        self.requests += 1
        found = SimpleNamespace(id=uuid4(), type=artifact.type, data=artifact.data, about=artifact.description)
        assert artifact.key not in self.made
        self.made[artifact.key] = found
        return found

    async def update_artifact(self, artifact_id, artifact):
        self.requests += 1
        next(found for found in self.made.values() if found.id == artifact_id).data = artifact.data


@pytest.fixture
def client(monkeypatch):
    found = Client()
    monkeypatch.setattr(module, "PrefectClient", Client)
    monkeypatch.setattr(module.FlowRunContext, "get", lambda: SimpleNamespace(client=found))
    return found


def event(kind, call=None, count=None, step="align"):
    return StepEvent(kind=kind, step=step, call=call, count=count)


async def play(*events, outputs=None, message=None, state=RunState.SUCCEEDED, **started):
    observer = Artifacts()
    observer(RunStarted(flow_run_id=str(uuid4()), name="calm-cat", url=None, **started))
    for one in events:
        observer(one)
    observer(RunEnded(state=state, message=message, outputs=outputs or {}))
    await observer.aclose()


async def test_steps_are_a_table_of_states(client):
    await play(
        event(StepEventKind.PLANNED, count=4),
        event(StepEventKind.STARTED, "align[0]"),
        event(StepEventKind.SUCCEEDED, "align[0]"),
        event(StepEventKind.CACHED, "align[1]"),
        event(StepEventKind.STARTED, "align[2]"),
        state=RunState.FAILED,
    )
    (row,) = json.loads(client.made["workflow-steps"].data)
    assert row == {
        "step": "align",
        "waiting": 1,
        "running": 1,
        "succeeded": 1,
        "cached": 1,
        "failed": 0,
        "skipped": 0,
        "cancelled": 0,
    }


async def test_the_progress_of_a_run_that_ends_before_anybody_looks_is_not_shown(client):
    await play(event(StepEventKind.CACHED, "align"))
    assert sorted(client.made) == [f"workflow-{name}" for name in ("outputs", "steps", "summary")]


async def test_the_summary_says_where_the_results_are(client):
    await play(outputs={"n": 3}, outdir=Path("/data"))
    assert "The results are in /data" in client.made["workflow-summary"].data


@pytest.mark.parametrize(
    ("state", "keep", "told"),
    [
        (RunState.FAILED, Keep.ON_FAILURE, True),
        (RunState.FAILED, Keep.NEVER, False),
        (RunState.SUCCEEDED, Keep.ALWAYS, False),
    ],
    ids=["failed", "nothing-kept", "succeeded"],
)
async def test_the_summary_says_how_to_go_on_with_what_failed(client, tmp_path, state, keep, told):
    await play(state=state, settings=Settings(home=tmp_path, keep=keep))
    assert ("`cwl-prefect runs resume " in client.made["workflow-summary"].data) is told


async def test_each_says_what_it_is(client):
    await play(event(StepEventKind.CACHED, "align"))
    assert client.made["workflow-steps"].about == "How many calls of each step are in which state"
    assert all(found.about for found in client.made.values())


async def test_the_summary_of_a_failure_has_its_evidence_line_by_line_and_no_markup(client):
    message = "align failed\n  last lines of stderr:\n    ```\n    <b>no</b>"
    await play(message=message, state=RunState.FAILED)
    assert client.made["workflow-summary"].data == f"**failed**\n\n````\n{message}\n````"


async def test_each_file_is_shown_with_its_output(client):
    file = {"class": "File", "location": "file:///o/a.txt", "size": 12, "checksum": "sha1$1"}
    await play(outputs={"all": [file]})
    heading, _, row = client.made["workflow-outputs"].data.splitlines()
    assert heading == "| output | file | bytes | checksum |"
    assert row == r"| all | file:///o/a.txt | 12 | sha1$1 |"


async def test_of_a_subworkflow_its_own_steps_count(client):
    await play(
        event(StepEventKind.PLANNED, count=1, step="inner"),
        StepEvent(kind=StepEventKind.STARTED, step="inner", call="inner", subworkflow=True),
        event(StepEventKind.PLANNED, count=1, step="inner.align"),
        event(StepEventKind.CACHED, "inner.align", step="inner.align"),
        state=RunState.FAILED,
    )
    assert [row["step"] for row in json.loads(client.made["workflow-steps"].data)] == ["inner.align"]


async def test_they_are_updated_in_place_and_only_where_something_changed(client, monkeypatch):
    monkeypatch.setattr(module, "_PAUSE_S", 0.001)
    observer = Artifacts()
    observer(RunStarted(flow_run_id=str(uuid4()), name="n", url=None))
    observer(event(StepEventKind.PLANNED, count=2))
    while len(client.made) < 2:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.05)
    assert client.requests == 2
    observer(event(StepEventKind.CACHED, "align[0]"))
    while client.made["workflow-progress"].data != 50.0:
        await asyncio.sleep(0.001)
    observer(RunEnded(state=RunState.SUCCEEDED, message=None, outputs={}))
    await observer.aclose()
    assert client.made["workflow-progress"].data == 100.0
    assert sorted(client.made) == [f"workflow-{name}" for name in ("outputs", "progress", "steps", "summary")]


@pytest.mark.parametrize(
    ("calls", "ends", "expected"),
    [
        pytest.param(3, [StepEventKind.CACHED, StepEventKind.SKIPPED, StepEventKind.FAILED], 50.0, id="step-to-come"),
        pytest.param(9999, [StepEventKind.CACHED] * 9998 + [StepEventKind.FAILED], 99.9, id="nearly-all"),
        pytest.param(1, [StepEventKind.FAILED], 0.0, id="nothing"),
    ],
)
async def test_the_progress_of_a_run_that_failed_is_how_far_it_came(client, monkeypatch, calls, ends, expected):
    monkeypatch.setattr(module, "_PAUSE_S", 0.001)
    observer = Artifacts()
    plan = workflow(step("align"), step("merge"), name="workflow")
    observer(RunStarted(flow_run_id=str(uuid4()), name="n", url=None, plan=plan))
    observer(event(StepEventKind.PLANNED, count=calls))
    while "workflow-progress" not in client.made:
        await asyncio.sleep(0.001)
    for number, kind in enumerate(ends):
        observer(event(kind, f"align[{number}]"))
    observer(RunEnded(state=RunState.FAILED, message="align failed", outputs={}))
    await observer.aclose()
    assert client.made["workflow-progress"].data == expected


@pytest.mark.parametrize("secret", [False, True])
async def test_images_are_shown_unless_the_run_has_secrets(client, tmp_path, secret):
    path = tmp_path / "map [1].png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    hints = ({"class": "http://commonwl.org/cwltool#Secrets", "secrets": ["key"]},) if secret else ()
    plan = workflow(name="workflow", hints=hints)
    outputs = {"map": {"class": "File", "location": path.as_uri(), "basename": path.name}}
    await play(outputs=outputs, outdir=tmp_path, plan=plan, inputs={"key": "hunter2"} if secret else {})
    last = client.made["workflow-outputs"].data.splitlines()[-1]
    assert (last == "![](data:image/png;base64,iVBORw0KGgo=)") is not secret
    assert ("map \\[1\\].png:" in client.made["workflow-outputs"].data) is not secret


async def test_what_comes_from_a_run_is_no_markup_and_is_bounded(client):
    file = {"class": "File", "location": "file:///<img src=x>|[a](javascript:b)", "size": 1}
    await play(outputs={"o": [file] * (MOST_ROWS + 7), "n": "<script>"}, message="*no* " + "x" * 100_000)
    shown = client.made["workflow-outputs"].data
    assert "<img" not in shown
    assert "<script" not in shown
    assert r"\[a\]\(javascript" in shown
    assert "7 more are in the report." in shown
    assert len(client.made["workflow-summary"].data) < 10_000


async def test_without_an_api_there_are_none(monkeypatch, client):
    monkeypatch.setattr(module.FlowRunContext, "get", lambda: None)
    await play(event(StepEventKind.PLANNED, count=1))
    assert (client.requests, client.made) == (0, {})
