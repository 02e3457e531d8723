"""Inputs whose names hold a colon."""

from pathlib import Path

import pytest

from cwl_prefect.backends.kubernetes.manifest.links import Links
from cwl_prefect.errors import BackendError
from cwl_prefect.model.job import Mount


@pytest.fixture
def links(tmp_path: Path) -> Links:
    return Links(tmp_path)


async def test_what_has_no_colon_stays(links: Links) -> None:
    mounts = (Mount(source=Path("/v/a:b"), target="/in/0/a"),)
    assert await links.placed("job", mounts) is mounts


async def test_what_has_one_is_linked_to_with_what_lies_beside_it(links: Links) -> None:
    mounts = [
        Mount(source=Path("/v/a:b"), target="/in/0/a:b"),
        Mount(source=Path("/v/a.idx"), target="/in/0/a.idx"),
        Mount(source=Path("/v/c"), target="/in/1/c"),
    ]
    found = {mount.target: mount.source for mount in await links.placed("job", mounts)}
    assert set(found) == {"/in/0", "/in/1/c", "/.cwl-prefect-inputs/0", "/.cwl-prefect-inputs/1"}
    shown = {path.name: str(path.readlink()) for path in found["/in/0"].iterdir()}
    assert {name: found[inside] for name, inside in shown.items()} == {"a:b": Path("/v/a:b"), "a.idx": Path("/v/a.idx")}
    await links.remove("job")
    assert not found["/in/0"].exists()


@pytest.mark.parametrize("target", ["/out/a:b", "/out/deep/a:b", "/in:0/a"])
async def test_where_no_link_can_be_it_is_refused(links: Links, target: str) -> None:
    mounts = [Mount(source=Path("/v/out"), target="/out", writable=True), Mount(source=Path("/v/a"), target=target)]
    with pytest.raises(BackendError, match="colon"):
        await links.placed("job", mounts)
