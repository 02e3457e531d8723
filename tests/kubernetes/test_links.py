"""Links to inputs and to own files that a tool leaves in a pod, and what a pod of the next step reads."""

from pathlib import Path

import pytest

from cwl_prefect.settings import Settings
from tests.linking import READ, read_through_links

pytestmark = [pytest.mark.kubernetes, pytest.mark.usefixtures("cluster")]


async def test_links_of_a_pod_are_outputs_on_a_volume(tmp_path: Path, settings: Settings) -> None:
    chosen = settings.model_copy(update={"home": tmp_path / "home"}).model_dump(exclude_unset=True)
    assert await read_through_links(tmp_path, **chosen, backend="kubernetes") == READ
