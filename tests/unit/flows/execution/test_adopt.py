import asyncio
from dataclasses import replace

import pytest

from cwl_prefect.backends.base import finish
from cwl_prefect.backends.fake import FakeBackend
from cwl_prefect.engine.staging import workspace as workspaces
from cwl_prefect.engine.staging.stage import stage
from cwl_prefect.flows.execution.adopt import adopted
from tests.calls import call

CALL = call(command=("work",), stdout="out.txt")
LABELS = {"call": "abc"}


@pytest.fixture
def space(tmp_path):
    return workspaces.locate(tmp_path, "run", "align", (3,))


@pytest.fixture
async def backend():
    async def work(job):
        await asyncio.sleep(0.05)
        return 7

    backend = FakeBackend(work)
    yield backend
    await backend.close()


def find(backend, space, **changes):
    given = {"name": "align[3]", "job_ids": ["run-align[3]-2", "run-align[3]-1"], "labels": LABELS, **changes}
    return adopted(backend, CALL, space, **given)


def staged(space, labels=LABELS):
    workspaces.create(space)
    return stage(CALL, space, job_id="run-align[3]-1", name="align[3]", mounts=True, labels=labels)


async def test_the_job_of_an_earlier_driver_is_taken_over(backend, space):
    job = staged(space)
    await backend.start(job)
    handle = await find(backend, space)
    assert handle.job == replace(job, mounts=())
    assert (await finish(backend, handle)).exit_code == 7
    assert len(backend.jobs) == 1


async def test_where_nothing_was_started_there_is_nothing(backend, space):
    staged(space)
    assert await find(backend, space) is None


async def test_another_call_is_not_taken_over(backend, space):
    await backend.start(staged(space, labels={"call": "other"}))
    assert await find(backend, space) is None


async def test_without_its_output_directory_it_is_not_taken_over(backend, space):
    await backend.start(staged(space))
    workspaces.remove(space)
    assert await find(backend, space) is None
