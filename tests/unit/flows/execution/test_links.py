"""Links to inputs and to own files that a tool leaves, and what the next step reads."""

from pathlib import Path

from tests.linking import READ, read_through_links


async def test_links_of_a_process_are_outputs(tmp_path: Path) -> None:
    assert await read_through_links(tmp_path, home=tmp_path / "home", backend="local") == READ
