import asyncio
import sys
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from cwl_prefect.errors import StepError, UsageError
from cwl_prefect.flows.execution import observing
from cwl_prefect.flows.execution.driver import Driver, Scope
from cwl_prefect.flows.execution.observing import observed, observers_of
from cwl_prefect.flows.lifecycle.opening import open_run
from cwl_prefect.model.events import RunEnded, RunObserver, RunState, StepEventKind
from cwl_prefect.reports import notebook
from cwl_prefect.settings import Settings
from tests.unit.flows.driving import SCATTER_AND_WHEN, PlainTasks, drive


class Seen(RunObserver):
    """Writes down every method that is called."""

    made: ClassVar[list["Seen"]] = []

    def __init__(self) -> None:
        self.told: list[tuple[str, str | None]] = []
        self.ended: RunEnded | None = None
        self.closed = False
        self.made.append(self)

    def step_planned(self, event):
        self.told.append(("planned", f"{event.step} {event.count}"))

    def call_started(self, event):
        self.told.append(("started", event.call))

    def call_retrying(self, event):
        self.told.append(("retrying", event.call))

    def call_ended(self, event):
        self.told.append((event.kind.value, event.call))

    def step_ended(self, event):
        self.told.append(("step", event.step))

    def run_ended(self, event):
        self.ended = event

    async def aclose(self):
        self.closed = True


async def play(directory: Path, *observers, tries: int = 1, temporary: int = 0, settings=(), **inputs):
    """Run the workflow with observers, as a flow run does."""
    run = drive(directory, SCATTER_AND_WHEN, tries=tries, temporary=temporary, **dict(settings))
    request, tasks = replace(run.request, observers=observers), PlainTasks(tries=tries)
    async with open_run(run.plan, request, "run", run.progress) as opened, observed(opened):
        here = replace(opened, pool=run.pool)
        here.progress.outputs, _ = await Driver(here, tasks).workflow(run.plan, {"go": True, **inputs}, Scope())
    return here.progress.outputs


async def test_each_thing_that_happens_has_its_method(tmp_path):
    seen = Seen()
    await play(tmp_path, seen, tries=2, temporary=1, xs=["temp"], go=False)
    assert sorted(seen.told) == [
        ("planned", "each 1"),
        ("planned", "maybe 1"),
        ("retrying", "each[0]"),
        ("skipped", "maybe"),
        ("started", "each[0]"),
        ("step", "each"),
        ("step", "maybe"),
        ("succeeded", "each[0]"),
    ]
    assert seen.ended == RunEnded(state=RunState.SUCCEEDED, message=None, outputs={"r": ["temp"]})
    assert seen.closed


async def test_a_failure_is_told_with_its_reason(tmp_path):
    seen = Seen()
    with pytest.raises(StepError):
        await play(tmp_path, seen, xs=["fail"])
    assert seen.ended is not None
    assert seen.ended.state is RunState.FAILED
    assert "it went wrong" in seen.ended.message
    assert seen.closed


async def test_a_cancelled_run_is_told_as_such(tmp_path):
    seen = Seen()
    running = asyncio.create_task(play(tmp_path, seen, xs=["slow"]))
    while not any(kind == "started" for kind, _ in seen.told):
        await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert seen.ended.state is RunState.CANCELLED


async def test_of_a_class_each_run_gets_its_own(tmp_path):
    before = len(Seen.made)
    for name in ("a", "b"):
        directory = tmp_path / name
        directory.mkdir()
        await play(directory, Seen, xs=["x"])
    assert [seen.ended.outputs for seen in Seen.made[before:]] == [{"r": ["x"]}] * 2


async def test_an_observer_that_fails_is_told_nothing_more_and_the_run_goes_on(tmp_path, caplog):
    calls = []

    def broken(event):
        calls.append(event)
        raise ZeroDivisionError("ours")

    seen = Seen()
    assert await play(tmp_path, broken, seen, xs=["a"]) == {"r": ["a"]}
    assert len(calls) == 1
    assert "told nothing more" in caplog.text
    assert seen.ended is not None


async def test_a_function_may_observe(tmp_path):
    events = []
    await play(tmp_path, events.append, xs=["a"])
    assert StepEventKind.SUCCEEDED in [getattr(event, "kind", None) for event in events]
    assert isinstance(events[-1], RunEnded)


def test_the_settings_name_observers_by_module(tmp_path, monkeypatch):
    (tmp_path / "theirs.py").write_text("told = []\nlook = told.append\n")
    monkeypatch.syspath_prepend(tmp_path)
    (observe,) = observers_of(Settings(home=tmp_path, observers=("theirs:look",), record=False, artifacts=False), ())
    end = RunEnded(state=RunState.SUCCEEDED, message=None, outputs={})
    observe(end)
    assert sys.modules.pop("theirs").told == [end]


def test_the_settings_name_observers_by_entry_point(tmp_path, monkeypatch):
    (tmp_path / "plug.py").write_text("from cwl_prefect import RunObserver\nclass Plug(RunObserver): pass\n")
    info = tmp_path / "plug-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plug\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[cwl_prefect.observers]\nplug = plug:Plug\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert len(observers_of(Settings(home=tmp_path, observers=("plug",), record=False, artifacts=False), ())) == 1


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("no_such_module:x", id="no-module"),
        pytest.param("json:no_such_name", id="no-name"),
        pytest.param("no-such-entry-point", id="no-entry-point"),
        pytest.param("string:digits", id="nothing-to-call"),
    ],
)
def test_an_observer_that_there_is_not_is_a_usage_error(name, tmp_path):
    with pytest.raises(UsageError, match=name):
        observers_of(Settings(home=tmp_path, observers=(name,)), ())


def test_runs_of_a_notebook_are_shown_there(monkeypatch, tmp_path):
    shown = []
    monkeypatch.setattr(observing, "in_notebook", lambda: True)
    monkeypatch.setattr(notebook, "_shown_by_ipython", shown.append)
    observers_of(Settings(home=tmp_path, record=False, artifacts=False), ())
    assert [type(one) for one in shown] == [notebook.NotebookProgress]
