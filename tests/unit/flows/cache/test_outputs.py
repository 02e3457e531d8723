"""Where the outputs of calls go that were found: no two of them to one file, also where threads ask at once."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cwl_prefect.flows.cache.outputs import CachedOutputs
from cwl_prefect.model.cache import CacheEntry, CallKey, StoredFile, StoredLink


def file(path: str, content: bytes | None = b"x") -> StoredFile:
    return StoredFile(path=path, size=1, checksum="sha1$0", content=content)


def entry(*files: StoredFile, **more) -> CacheEntry:
    return CacheEntry(
        key=CallKey(digest="0", parts={}),
        step="align",
        tool="align",
        run_id="run",
        created_at=0,
        duration_s=0,
        outputs={},
        files=files,
        **more,
    )


@pytest.fixture
def switching_all_the_time() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_files_of_different_names_share_a_directory(tmp_path: Path):
    outputs = CachedOutputs()
    places = [outputs.shared_directory(entry(file(name)), tmp_path / name / "out") for name in ("a", "b")]
    assert places == [tmp_path / "a" / ".cached", tmp_path / "b" / ".cached"]
    assert outputs.shared_directory(entry(file("c"), file("d")), tmp_path / "a" / "other") == places[0]


@pytest.mark.parametrize("names", [("A",), ("b", "a")], ids=["in-another-case", "one-of-two"])
def test_a_name_that_is_taken_needs_a_directory_of_its_own(tmp_path: Path, names: tuple[str, ...]):
    outputs = CachedOutputs()
    outputs.shared_directory(entry(file("a")), tmp_path / "1")
    assert outputs.shared_directory(entry(*map(file, names)), tmp_path / "2") is None
    assert outputs.shared_directory(entry(file("b")), tmp_path / "3") is not None


def test_a_name_of_an_earlier_attempt_is_taken(tmp_path: Path):
    (tmp_path / ".cached").mkdir()
    (tmp_path / ".cached" / "a").touch()
    assert CachedOutputs().shared_directory(entry(file("a")), tmp_path / "1") is None


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(entry(file("a", None)), id="a-large-file"),
        pytest.param(entry(file("below/a")), id="a-file-in-a-directory"),
        pytest.param(entry(file("a"), directories=("empty",)), id="a-directory"),
        pytest.param(entry(links=(StoredLink(path="a", number=0, below=""),)), id="a-link-to-an-input"),
    ],
)
def test_what_is_more_than_small_files_needs_a_directory_of_its_own(tmp_path: Path, found: CacheEntry):
    assert CachedOutputs().shared_directory(found, tmp_path / "1") is None


def test_threads_at_once_get_one_name_once(tmp_path: Path, switching_all_the_time: None):
    (tmp_path / ".cached").mkdir()
    for number in range(200):  # so that there is something to be looked through before the first answer
        (tmp_path / ".cached" / f"earlier-{number}").touch()
    with ThreadPoolExecutor(8) as threads:
        for _ in range(20):
            outputs = CachedOutputs()
            places = threads.map(
                lambda number, outputs=outputs: outputs.shared_directory(entry(file("same")), tmp_path / str(number)),
                range(16),
            )
            assert sum(place is not None for place in places) == 1
