"""Links to inputs and to own files that a tool leaves in a container, and what a container of the next step reads."""

from pathlib import Path

import pytest

from tests.linking import READ, read_through_links

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("docker_engine")]


async def test_links_of_a_container_are_outputs(tmp_path: Path) -> None:
    found = await read_through_links(tmp_path, home=tmp_path / "home", backend="docker")
    assert found == READ
