import asyncio

import pytest

from cwl_prefect.backends.kubernetes import marks
from cwl_prefect.backends.kubernetes.marks import Mark
from cwl_prefect.backends.naming import FLOW_RUN_LABEL
from cwl_prefect.errors import UsageError
from cwl_prefect.flows import cleanup
from cwl_prefect.flows.execution.backends import Backends
from cwl_prefect.flows.execution.run import RunRequest
from cwl_prefect.flows.lifecycle import reaping, sweeping
from cwl_prefect.flows.lifecycle.sweeping import names_images, swept
from cwl_prefect.settings import BackendName, Settings
from tests.engines import answer
from tests.unit.documents import plan_of
from tests.unit.flows.driving import graph, subworkflow

STEPS = "inputs: {x: string}\noutputs: []\nsteps:\n  a: {run: '#say', in: {x: x}, out: [o]}\n"
NESTED = "inputs: {x: string}\noutputs: []\nsteps:\n  b: {run: '#inner', in: {x: x}, out: []}\n"


@pytest.fixture
def compiled():
    def compiled(*, image: bool, nested: bool = False):
        text = graph(NESTED, subworkflow("inner", STEPS)) if nested else graph(STEPS)
        hint = "  hints: {DockerRequirement: {dockerPull: busybox}}\n"
        return plan_of(text.replace("  id: say\n", f"  id: say\n{hint}") if image else text)

    return compiled


@pytest.mark.parametrize("nested", [False, True], ids=["flat", "nested"])
@pytest.mark.parametrize("image", [False, True], ids=["without", "with"])
def test_images_are_seen_at_every_depth(compiled, image, nested):
    assert names_images(compiled(image=image, nested=nested)) is image


@pytest.mark.parametrize(
    ("image", "settings", "given", "expected"),
    [
        (True, {}, False, 1),
        (False, {}, False, 0),
        (True, {"backend": BackendName.LOCAL}, False, 0),
        (True, {}, True, 0),
    ],
    ids=["wanted", "no-images", "local", "own-backends"],
)
async def test_a_run_sweeps_only_where_it_uses_containers(  # noqa: PLR0917
    compiled, tmp_path, monkeypatch, image, settings, given, expected
):
    swept_homes = []

    async def reap(found):
        swept_homes.append(found.home)
        return 0

    monkeypatch.setattr(sweeping, "reap_abandoned", reap)
    chosen = Settings(home=tmp_path, **settings)
    request = RunRequest(job_order={}, settings=chosen, backends=Backends(chosen) if given else None)
    async with swept(compiled(image=image), request):
        await asyncio.sleep(0)
    assert len(swept_homes) == expected


ANSWERS = "cwl_prefect.backends.docker.engine.engine_answers"


async def test_only_what_is_abandoned_is_reaped(tmp_path, monkeypatch):
    asked = []

    class Engine:
        async def values_of(self, label):
            assert label == FLOW_RUN_LABEL
            return frozenset(("gone", "driven"))

        async def reap(self, labels):
            asked.append(labels)
            return 3

        async def close(self):
            asked.append("closed")

    monkeypatch.setattr(ANSWERS, answer(found=True))
    monkeypatch.setattr("cwl_prefect.backends.docker.backend.DockerBackend", Engine)
    monkeypatch.setattr(reaping, "is_abandoned", lambda _, run_id: run_id == "gone")
    assert await reaping.reap_abandoned(Settings(home=tmp_path)) == 3
    assert asked == [{FLOW_RUN_LABEL: "gone"}, "closed"]


async def test_a_failing_engine_stops_nobody(tmp_path, monkeypatch, caplog):
    async def broken():
        raise OSError("no engine")

    monkeypatch.setattr(ANSWERS, broken)
    assert await reaping.reap_abandoned(Settings(home=tmp_path)) == 0
    assert "could not be removed" in caplog.text


async def test_jobs_of_abandoned_runs_are_reaped_too(tmp_path, monkeypatch):
    asked = []

    async def reap(labels, namespaces, named):
        asked.append((labels, namespaces, named))
        return 2

    for run_id in ("gone", "driven"):
        marks.note(tmp_path, Mark(run_id=run_id, namespace="lab"))
    monkeypatch.setattr(ANSWERS, answer(found=False))
    monkeypatch.setattr("cwl_prefect.backends.kubernetes.jobs.reap", reap)
    monkeypatch.setattr(reaping, "is_abandoned", lambda _, run_id: run_id == "gone")
    assert await reaping.reap_abandoned(Settings(home=tmp_path)) == 2
    assert await reaping.reap_abandoned(Settings(home=tmp_path)) == 0
    assert asked == [({FLOW_RUN_LABEL: "gone"}, {"lab"}, None)]
    assert marks.noted_runs(tmp_path) == ["driven"]


async def test_a_cluster_that_does_not_answer_stops_nobody_and_is_asked_again(tmp_path, monkeypatch, caplog):
    async def reap(labels, namespaces, named):
        await asyncio.sleep(60)

    marks.note(tmp_path, Mark(run_id="gone", namespace="lab"))
    monkeypatch.setattr(cleanup, "CLEANUP_TIMEOUT_S", 0.05)
    monkeypatch.setattr(ANSWERS, answer(found=False))
    monkeypatch.setattr("cwl_prefect.backends.kubernetes.jobs.reap", reap)
    monkeypatch.setattr(reaping, "is_abandoned", lambda *_: True)
    assert await reaping.reap_abandoned(Settings(home=tmp_path)) == 0
    assert "Jobs that the run gone left could not be removed: it took too long" in caplog.text
    assert "Traceback" not in caplog.text
    assert marks.noted_runs(tmp_path) == ["gone"]


async def test_a_pool_that_is_gone_leaves_only_its_own_run_to_be_asked_again(tmp_path, monkeypatch, caplog):
    asked = []

    async def named_cluster(run_id, pool, settings):
        if pool == "removed":
            raise UsageError("There is no work pool removed for the steps.")
        return f"the cluster of {pool} for {run_id}"

    async def reap(labels, namespaces, named):
        asked.append(named)
        return 2

    for run_id, pool in (("a", "removed"), ("b", "far"), ("c", None)):
        marks.note(tmp_path, Mark(run_id=run_id, namespace="lab", pool=pool))
    monkeypatch.setattr(ANSWERS, answer(found=False))
    monkeypatch.setattr("cwl_prefect.backends.kubernetes.jobs.reap", reap)
    monkeypatch.setattr("cwl_prefect.flows.lifecycle.named_cluster.named_cluster", named_cluster)
    monkeypatch.setattr(reaping, "is_abandoned", lambda *_: True)
    assert await reaping.reap_abandoned(Settings(home=tmp_path)) == 4
    assert sorted(asked, key=str) == [None, "the cluster of far for b"]
    assert "Jobs that the run a left could not be removed: There is no work pool removed" in caplog.text
    assert marks.noted_runs(tmp_path) == ["a"]
