import asyncio
import logging
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.states import Cancelled, Crashed, State

from cwl_prefect.backends.docker import backend as docker
from cwl_prefect.backends.kubernetes import jobs, marks
from cwl_prefect.backends.kubernetes.marks import Mark
from cwl_prefect.backends.naming import FLOW_RUN_LABEL
from cwl_prefect.engine.records import manifest
from cwl_prefect.engine.records.audit import Act
from cwl_prefect.engine.records.manifest import Outcome, RunManifest
from cwl_prefect.flows import cleanup
from cwl_prefect.flows.lifecycle import hooks, reaping
from cwl_prefect.flows.lifecycle.hooks import end_pod, ends_of_pod, reaper
from cwl_prefect.flows.lifecycle.workdirs import Workdirs
from cwl_prefect.settings import Settings
from tests.engines import answer


class Reaper:
    """Stands for the Docker backend; keeps what it was asked to remove."""

    def __init__(self, left: int = 0, error: Exception | None = None, *, hangs: bool = False) -> None:
        self.selected: list[dict] = []
        self.closed = 0
        self._left, self._error, self._hangs = left, error, hangs

    async def reap(self, labels: dict) -> int:
        self.selected.append(dict(labels))
        if self._hangs:
            await asyncio.sleep(60)
        if self._error is not None:
            raise self._error
        return self._left

    async def close(self) -> None:
        self.closed += 1


@pytest.fixture
def flow_run() -> FlowRun:
    return FlowRun(id=uuid4(), flow_id=uuid4(), name="brave-otter")


@pytest.fixture
def engine(monkeypatch):
    """Let a reaper stand for Docker."""

    def engine(reaper: Reaper | None) -> None:
        found = answer(found=reaper is not None)
        monkeypatch.setattr("cwl_prefect.backends.docker.engine.engine_answers", found)
        monkeypatch.setattr(docker, "DockerBackend", lambda: reaper)

    return engine


async def end(flow_run: FlowRun, state: State | None = None) -> None:
    await reaper(Settings())(flow=None, flow_run=flow_run, state=state or Cancelled())


@pytest.fixture(autouse=True)
def acts(monkeypatch) -> list[tuple]:
    """What is recorded."""
    found: list[tuple] = []
    monkeypatch.setattr(hooks, "record", lambda _, act, run_id, **details: found.append((act, run_id, details)))
    return found


@pytest.fixture
def closed(monkeypatch) -> list[str]:
    """The runs whose task runs are closed."""
    found: list[str] = []

    async def close(run_id: str) -> None:
        found.append(run_id)

    monkeypatch.setattr(hooks, "close_what_is_left", close)
    return found


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "ended"])
async def test_task_runs_of_a_cancelled_run_are_closed_where_its_driver_was_killed(engine, flow_run, closed, killed):
    run_id = str(flow_run.id)
    directory = Workdirs.of(Settings()).directory_of(run_id)
    directory.mkdir(parents=True)
    found = RunManifest(run_id=run_id, name="a", workflow="w", plan="p", job_order={})
    manifest.write(directory, found if killed else found.ended_as(Outcome.CANCELLED))
    engine(Reaper())
    await end(flow_run)
    assert closed == ([run_id] if killed else [])


async def test_a_crash_and_what_it_left_are_recorded_and_its_task_runs_closed(engine, flow_run, acts, closed):
    engine(Reaper(2))
    await end(flow_run, Crashed())
    run_id = str(flow_run.id)
    assert closed == [run_id]
    assert acts == [(Act.CRASHED, run_id, {}), (Act.REAPED, run_id, {"removed": 2})]


async def test_a_cancelled_run_that_left_nothing_was_recorded_by_itself(engine, flow_run, acts):
    engine(Reaper())
    await end(flow_run)
    assert acts == []


async def test_only_containers_of_the_flow_run_are_removed(engine, flow_run):
    reaper = Reaper()
    engine(reaper)
    await end(flow_run)
    assert reaper.selected == [{FLOW_RUN_LABEL: str(flow_run.id)}]
    assert reaper.closed == 1


async def test_what_was_left_is_told(engine, flow_run, caplog):
    engine(Reaper(2))
    with caplog.at_level(logging.WARNING, logger=reaping.__name__):
        await end(flow_run)
    assert f"removed 2 containers that the flow run {flow_run.id} had left" in caplog.text


async def test_without_an_engine_there_is_nothing_to_do(engine, flow_run, caplog):
    engine(None)
    await end(flow_run)
    assert caplog.text == ""


async def test_a_failure_is_told_and_not_raised(engine, flow_run, caplog):
    reaper = Reaper(error=RuntimeError("engine went away"))
    engine(reaper)
    await end(flow_run)
    assert "engine went away" in caplog.text
    assert reaper.closed == 1


async def test_an_engine_that_hangs_does_not_hold_up_the_end(engine, flow_run, caplog, monkeypatch):
    monkeypatch.setattr(cleanup, "CLEANUP_TIMEOUT_S", 0.05)
    engine(Reaper(hangs=True))
    async with asyncio.timeout(5):
        await end(flow_run)
    assert "could not be removed" in caplog.text


async def test_jobs_of_the_flow_run_are_removed_too(engine, flow_run, caplog, monkeypatch, tmp_path):
    engine(None)
    asked = []

    async def removal(labels, namespaces, named):
        asked.append((dict(labels), namespaces, named))
        return 3

    monkeypatch.setenv("CWL_PREFECT_HOME", str(tmp_path))
    monkeypatch.setattr(jobs, "reap", removal)
    await end(flow_run)
    assert asked == []  # no driver noted Jobs: no cluster is asked
    mark = Mark(run_id=str(flow_run.id), namespace="lab")
    assert marks.note(tmp_path, mark)
    assert not marks.note(tmp_path, mark)
    with caplog.at_level(logging.WARNING, logger=reaping.__name__):
        await end(flow_run)
        await end(flow_run)
    assert asked == [({FLOW_RUN_LABEL: str(flow_run.id)}, {"lab"}, None)]
    assert f"removed 3 Jobs that the flow run {flow_run.id} had left" in caplog.text


def test_outside_of_a_cluster_nobody_looks_for_a_pod(monkeypatch):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert ends_of_pod() == []


@pytest.mark.parametrize("own", [True, False], ids=["its own", "another's"])
async def test_a_flow_run_ends_its_own_jobs_and_no_other_s(flow_run, own, monkeypatch):
    asked = []

    async def end_flow_run_jobs(run_id, namespace):
        asked.append((run_id, namespace))

    monkeypatch.setattr(jobs, "end_flow_run_jobs", end_flow_run_jobs)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("POD_NAME", "this-host")
    monkeypatch.setenv("POD_NAMESPACE", "lab")
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", str(flow_run.id if own else uuid4()))
    await end_pod(flow=None, flow_run=flow_run, state=Cancelled())
    assert asked == [(str(flow_run.id), "lab")] * own
