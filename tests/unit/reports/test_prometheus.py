"""The file of a workflow for Prometheus, by what happens in a run."""

import logging
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cwl_prefect.flows.execution.observing import SCRAPED_BY, observers_of
from cwl_prefect.model.events import RunEnded, RunStarted, RunState, StepEvent, StepEventKind
from cwl_prefect.model.usage import Tried, Usage
from cwl_prefect.reports.prometheus import Prometheus
from cwl_prefect.settings import Settings
from tests.plans import workflow

TRIED = Tried(
    number=1,
    backend="docker",
    cores=1,
    ram_mib=256,
    prepared_at=1,
    ready_at=2,
    usage=Usage(cpu_s=1.5, peak_memory_mib=8),
)


def started(directory: Path, name: str = "map") -> RunStarted:
    settings = Settings(home=directory, prometheus_directory=directory)
    plan = workflow(name=name)
    return RunStarted(flow_run_id="1", name="calm-cat", url=None, began_s=1000, plan=plan, settings=settings)


def event(kind: StepEventKind, call: str | None = None, **members: object) -> StepEvent:
    return StepEvent(kind=kind, step="align", call=call, **members)


EVENTS = (
    event(StepEventKind.PLANNED, count=4),
    event(StepEventKind.STARTED, "align[0]"),
    event(StepEventKind.RETRYING, "align[0]", tried=TRIED),
    event(StepEventKind.SUCCEEDED, "align[0]", tried=TRIED),
    event(StepEventKind.CACHED, "align[1]"),
    event(StepEventKind.STARTED, "align[2]"),
)


async def play(directory: Path, *, state: RunState = RunState.SUCCEEDED, name: str = "map") -> None:
    observer = Prometheus()
    for one in (started(directory, name), *EVENTS, RunEnded(state=state, message=None, outputs={})):
        observer(one)
    await observer.aclose()


def samples(path: Path) -> dict[tuple[str, ...], float]:
    """Read what each metric says of a workflow, a step and a state, as far as it is about them."""
    families = text_string_to_metric_families(path.read_text())
    return {(one.name, *_about(one.labels)): one.value for family in families for one in family.samples}


def _about(labels: dict[str, str]) -> list[str]:
    return [labels[name] for name in ("workflow", "step", "state") if name in labels]


async def test_a_run_that_ended_is_told_by_its_workflow(tmp_path: Path) -> None:
    await play(tmp_path, state=RunState.FAILED)
    found = samples(tmp_path / "cwl-prefect-map.prom")
    assert found.pop(("cwl_prefect_run_end_time_seconds", "map")) > 1000
    assert found == {
        ("cwl_prefect_run_state", "map", "failed"): 1,
        ("cwl_prefect_run_start_time_seconds", "map"): 1000,
        ("cwl_prefect_calls", "map", "align", "waiting"): 0,
        ("cwl_prefect_calls", "map", "align", "running"): 0,
        ("cwl_prefect_calls", "map", "align", "succeeded"): 1,
        ("cwl_prefect_calls", "map", "align", "cached"): 1,
        ("cwl_prefect_retries", "map", "align"): 1,
        ("cwl_prefect_cpu_seconds", "map", "align"): 3,
        ("cwl_prefect_memory_peak_bytes", "map", "align"): 8 * 2**20,
    }


async def test_a_run_that_goes_on_is_told_too(tmp_path: Path) -> None:
    observer = Prometheus()
    for one in (started(tmp_path), *EVENTS):
        observer(one)
    await observer.aclose()
    found = samples(tmp_path / "cwl-prefect-map.prom")
    assert found["cwl_prefect_run_state", "map", "running"] == 1
    assert found["cwl_prefect_calls", "map", "align", "running"] == 1
    assert found["cwl_prefect_calls", "map", "align", "waiting"] == 1


async def test_the_name_of_a_workflow_leads_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "metrics").mkdir()
    await play(tmp_path / "metrics", name='../so "called"')
    assert [path.name for path in tmp_path.rglob("*.prom")] == ["cwl-prefect-..-so-called-.prom"]
    found = samples(tmp_path / "metrics" / "cwl-prefect-..-so-called-.prom")
    assert found["cwl_prefect_run_state", '../so "called"', "succeeded"] == 1


async def test_a_directory_that_is_not_there_costs_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        await play(tmp_path / "none")
    assert len([record for record in caplog.records if "metrics cannot be written" in record.message]) == 1


def test_runs_are_told_where_the_settings_name_a_directory(tmp_path: Path) -> None:
    chosen = Settings(home=tmp_path, record=False, artifacts=False, prometheus_directory=tmp_path)
    (observer,) = observers_of(chosen, ())
    assert SCRAPED_BY.endswith(":Prometheus")
    assert observers_of(chosen.model_copy(update={"prometheus_directory": None}), ()) == ()
    assert observer is not None
