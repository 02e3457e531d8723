"""Waiting for quota before a Job is created."""

import pytest
from tenacity import wait_none

from cwl_prefect.backends.kubernetes import patience
from cwl_prefect.backends.kubernetes.api.client import RefusedError
from cwl_prefect.backends.kubernetes.patience import Patience, with_quota


class Watch:
    """Sees no other call that runs, and notes what is told."""

    def running(self) -> bool:
        return False

    def tell(self, call: str, obstacle: str, advice: str | None = None) -> None:
        raise AssertionError("nothing is told so early")


class Namespace:
    """Refuses some times, then lets a Job be created."""

    def __init__(self, refusals: int, words: str = 'jobs "j" is forbidden: exceeded quota: few, used: pods=5') -> None:
        self.refusals, self.words, self.asked = refusals, words, 0

    async def create(self) -> None:
        self.asked += 1
        if self.asked <= self.refusals:
            raise RefusedError(self.words, status=403)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PAUSES", wait_none())


async def created(namespace: Namespace, limit_s: float = 60.0) -> None:
    waiting = Patience(Watch(), "align")  # type: ignore[arg-type]
    await with_quota(namespace.create, waiting, limit_s, namespace="lab")


async def test_a_job_is_asked_for_again_until_there_is_quota() -> None:
    namespace = Namespace(3)
    await created(namespace)
    assert namespace.asked == 4


async def test_patience_with_a_quota_ends() -> None:
    with pytest.raises(RefusedError, match="exceeded quota: few"):
        await created(Namespace(1_000_000), limit_s=0.01)


async def test_another_refusal_ends_it_at_once() -> None:
    namespace = Namespace(3, "jobs is forbidden")
    with pytest.raises(RefusedError, match="jobs is forbidden"):
        await created(namespace)
    assert namespace.asked == 1
