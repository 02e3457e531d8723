"""Running a job from start to end."""

import asyncio
from pathlib import Path

import pytest

from cwl_prefect.backends.base import JobHandle, execute
from cwl_prefect.backends.fake import FakeBackend
from tests import calls


class SlowToDelete(FakeBackend):
    """A backend whose deletions take their time, as those of a busy engine."""

    def __init__(self) -> None:
        super().__init__(lambda _: asyncio.sleep(300, 0))
        self.deleting = asyncio.Event()
        self.deleted = False

    async def delete(self, handle: JobHandle) -> None:
        self.deleting.set()
        await asyncio.sleep(0.05)
        await super().delete(handle)
        self.deleted = True


async def test_a_deletion_is_finished_however_often_its_caller_is_cancelled(tmp_path: Path) -> None:
    backend = SlowToDelete()
    job = calls.job(tmp_path, image=None, command=("sleep",), workdir=str(tmp_path))
    running = asyncio.create_task(execute(backend, job))
    await asyncio.sleep(0)
    running.cancel()
    await backend.deleting.wait()
    for _ in range(3):
        running.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await running
    assert backend.deleted
