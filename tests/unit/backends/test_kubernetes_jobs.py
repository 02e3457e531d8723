"""Which Jobs of a driver that is gone can be taken over."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cwl_prefect.backends.kubernetes_jobs import adoptable
from cwl_prefect.backends.kubernetes_labels import job_annotations
from cwl_prefect.backends.kubernetes_objects import job_name, label_value
from cwl_prefect.backends.naming import job_labels
from cwl_prefect.model.job import ContainerJob
from tests.calls import job


def made(pod: str) -> dict[str, str]:
    return {"type": "Normal", "reason": "SuccessfulCreate", "message": f"Created pod: {pod}"}


class Api:
    """Has one Job, and some events about it."""

    def __init__(self, call: ContainerJob, events: list[dict[str, str]]) -> None:
        labels = {name: label_value(value) for name, value in job_labels(call, {}).items()}
        metadata = {"name": job_name(call.job_id), "namespace": "lab", "uid": "u1", "labels": labels}
        self._job = {"metadata": {**metadata, "annotations": job_annotations(call)}}
        self._events = events

    async def job(self, namespace: str, name: str) -> dict[str, Any]:
        assert (namespace, name) == ("lab", self._job["metadata"]["name"])
        return self._job

    async def events(self, namespace: str, uid: str) -> list[dict[str, str]]:
        assert (namespace, uid) == ("lab", "u1")
        return self._events


@pytest.mark.parametrize(
    ("events", "taken"),
    [
        pytest.param([made("a")], True, id="one-pod"),
        pytest.param([], True, id="events-are-gone"),
        pytest.param([made("a"), made("b")], False, id="a-second-pod-in-place-of-a-deleted-one"),
    ],
)
async def test_a_job_is_taken_over_unless_it_began_twice(
    tmp_path: Path, events: list[dict[str, str]], taken: bool
) -> None:
    call = job(tmp_path, job_id="j", name="align")
    for stream in (call.stdout, call.stderr):
        stream.parent.mkdir(parents=True, exist_ok=True)
        stream.touch()
    cluster = SimpleNamespace(api=Api(call, events), defaults=SimpleNamespace(namespace="lab"))
    assert await adoptable(cluster, call) is taken  # type: ignore[arg-type]
