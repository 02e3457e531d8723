"""A place that all users may enter, and another user of the machine."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A directory that every user may enter; those that pytest makes are for its user alone."""
    with tempfile.TemporaryDirectory(prefix="cwl-prefect-") as name:
        place = Path(name)
        place.chmod(0o755)
        yield place


@pytest.fixture
def second_user() -> Callable[..., str]:
    """Return what runs a command as a user whose number nobody else has, and gives what that prints."""
    if os.geteuid() != 0:
        pytest.skip("only root can run commands as another user")
    number = 54_321

    def run(*command: str | Path) -> str:
        ended = subprocess.run(
            command,
            user=number,
            group=number,
            extra_groups=(),
            cwd="/",
            env={"PATH": os.defpath},  # that of the tests may lead through directories of theirs
            capture_output=True,
            text=True,
            check=False,
        )
        return ended.stdout + ended.stderr

    return run
