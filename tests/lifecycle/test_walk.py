"""How far it is from the call of a run to its backend, and which tasks watch meanwhile."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import cwl_prefect
from cwl_prefect import FakeBackend, RunStatus, Settings, run
from cwl_prefect.model.job import ContainerJob
from tests.commands import command_environment

pytestmark = pytest.mark.server

MOST_FRAMES = 20
PACKAGE = str(Path(cwl_prefect.__file__).parent)
HELLO = Path(__file__).parents[2] / "examples" / "cwl" / "hello" / "hello.cwl"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    for environment in command_environment(tmp_path):
        yield Path(environment["CWL_PREFECT_HOME"])


def own_frames() -> list[str]:
    """Name the own functions from here down to where this task began."""
    frame, found = sys._getframe(), []
    while frame is not None:
        if frame.f_code.co_filename.startswith(PACKAGE):
            found.append(frame.f_code.co_qualname)
        frame = frame.f_back
    return found


def own_awaiting(task: asyncio.Task) -> list[str]:
    """Name the own coroutines that a task waits in."""
    waiting, found = task.get_coro(), []
    while waiting is not None:
        code = getattr(waiting, "cr_code", None)
        if code is not None and code.co_filename.startswith(PACKAGE):
            found.append(code.co_qualname)
        waiting = getattr(waiting, "cr_await", None)
    return found


async def test_the_walk_to_the_backend_is_short_and_its_tasks_have_names(home: Path) -> None:
    tasks: dict[str, list[str]] = {}
    caller = asyncio.current_task()

    def look(job: ContainerJob) -> int:
        step = asyncio.current_task()
        tasks.update({task.get_name(): own_awaiting(task) for task in asyncio.all_tasks()})
        tasks["caller"], tasks[step.get_name()] = tasks.pop(caller.get_name()), own_frames()
        job.stdout.write_text("hi")
        return 0

    result = await run(HELLO, {"message": "hi"}, backend=FakeBackend(look), settings=Settings(home=home, cache=False))
    walk = [*tasks["caller"], *tasks["drive"], *tasks["hello"]]
    assert "Driver._call" in walk
    assert len(walk) <= MOST_FRAMES, walk
    assert {"drive", "hello", "watch for a wish to end"} <= tasks.keys()
    assert result.status is RunStatus.COMPLETED
