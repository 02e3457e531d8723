"""The end of a call whose pod shares no volume."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cwl_prefect.backends.base import JobHandle
from cwl_prefect.backends.kubernetes.objects import KubernetesObject
from cwl_prefect.backends.kubernetes.transfers.arrival import received
from cwl_prefect.backends.kubernetes.transfers.program import LACKING
from cwl_prefect.backends.kubernetes.transfers.transfers import call_of
from cwl_prefect.backends.kubernetes.watch import Followed
from cwl_prefect.errors import BackendError
from cwl_prefect.model.job import ContainerJob, DockerImage, JobOutcome, Reason

JOB = ContainerJob(
    job_id="a",
    name="align",
    image=DockerImage(pull="x"),
    command=("true",),
    env={},
    mounts=(),
    workdir="/out",
    stdin=None,
    stdout=Path("/out"),
    stderr=Path("/err"),
)
HANDLE = JobHandle(job=JOB, reference="cwl-a")


class FakeTransfers:
    """Has what a call left, or not."""

    def __init__(self, *, there: bool = True) -> None:
        self.there, self.asked = there, 0

    async def receive(self, call: str) -> bool:
        assert call == call_of(JOB)
        self.asked += 1
        return self.there


class FakeWatch:
    """Tells of pods, or why it does not."""

    def __init__(self, failure: BackendError | None = None) -> None:
        self.failure = failure

    def check(self) -> None:
        if self.failure is not None:
            raise self.failure


def outcome(reason: Reason = Reason.EXITED, exit_code: int | None = 3) -> JobOutcome:
    now = datetime.now(UTC)
    return JobOutcome(job_id="a", reason=reason, exit_code=exit_code, started_at=now, finished_at=now)


def pod(*, ended: KubernetesObject | None = None, **metadata: str) -> KubernetesObject:
    state: KubernetesObject = {"running": {}} if ended is None else {"terminated": ended}
    statuses = [
        {"name": "tool", "state": {"terminated": {"exitCode": 3}}},
        {"name": "cwl-prefect-store", "state": state},
    ]
    return {"metadata": {"uid": "1", **metadata}, "status": {"containerStatuses": statuses}}


def ending(transfers: FakeTransfers, followed: Followed, found: JobOutcome, watch: FakeWatch | None = None):
    return received(transfers, HANDLE, found, followed, watch or FakeWatch())  # type: ignore[arg-type]  # fakes


async def test_a_call_has_ended_once_what_it_left_is_here() -> None:
    transfers, followed, found = FakeTransfers(), Followed(pod=pod()), outcome()
    waiting = asyncio.create_task(ending(transfers, followed, found))
    await asyncio.sleep(0)
    assert transfers.asked == 0
    followed.see(pod(ended={"exitCode": 0}), deleted=False)
    assert await waiting == found
    assert transfers.asked == 1


@pytest.mark.parametrize(
    ("followed", "there", "told"),
    [
        pytest.param(
            Followed(pod=pod(ended={"exitCode": 1, "message": "s3://b/x: AccessDenied 403"})),
            True,
            "s3://b/x: AccessDenied 403",
            id="refused",
        ),
        pytest.param(Followed(pod=pod(), deleted=True), False, "its pod went away before that", id="deleted"),
        pytest.param(
            Followed(pod=pod(deletionTimestamp="2026-01-01T00:00:00Z")), False, "its pod went away", id="being-deleted"
        ),
        pytest.param(Followed(pod=pod(ended={"exitCode": 0})), False, "its pod went away", id="removed-meanwhile"),
    ],
)
async def test_what_was_not_uploaded_is_lost(followed: Followed, there: bool, told: str) -> None:
    found = await ending(FakeTransfers(there=there), followed, outcome(exit_code=0))
    assert (found.reason, found.exit_code) == (Reason.LOST, None)
    assert told in (found.message or "")


@pytest.mark.parametrize("reason", [Reason.START_FAILED, Reason.NOT_FOUND, Reason.TIMED_OUT, Reason.EVICTED])
async def test_a_call_that_never_ran_or_was_ended_is_not_waited_for(reason: Reason) -> None:
    transfers, found = FakeTransfers(), outcome(reason, None)
    assert await ending(transfers, Followed(pod=pod()), found) is found
    assert transfers.asked == 0


@pytest.mark.parametrize(
    ("name", "code", "reason"),
    [
        pytest.param("cwl-prefect-fetch", LACKING, Reason.LOST, id="another-try-finds-it"),
        pytest.param("cwl-prefect-fetch", 1, Reason.START_FAILED, id="refused"),
        pytest.param("mine", LACKING, Reason.START_FAILED, id="of-the-template"),
    ],
)
async def test_a_call_is_lost_that_lacks_what_its_next_try_brings(name: str, code: int, reason: Reason) -> None:
    status: KubernetesObject = {"name": name, "state": {"terminated": {"exitCode": code}}}
    failed: KubernetesObject = {"status": {"initContainerStatuses": [status]}}
    found = await ending(FakeTransfers(), Followed(pod=failed), outcome(Reason.START_FAILED, None))
    assert found.reason is reason


async def test_a_watch_that_ended_is_told() -> None:
    with pytest.raises(BackendError, match="forbidden"):
        await ending(FakeTransfers(), Followed(pod=pod()), outcome(), FakeWatch(BackendError("forbidden")))
