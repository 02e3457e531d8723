"""What nobody needs any more in the object store by which files of calls go."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cwl_prefect.backends.kubernetes.transfers import garbage, transfers
from cwl_prefect.backends.kubernetes.transfers.bucket import blob
from cwl_prefect.backends.kubernetes.transfers.containers import TransferContainers
from cwl_prefect.backends.kubernetes.transfers.garbage import Garbage, collect_garbage, remove_calls
from cwl_prefect.backends.kubernetes.transfers.transfers import TRUSTED_S, Transfers
from cwl_prefect.backends.kubernetes.transfers.trees import INLINE, Entry, Tree, encoded, sha1_of
from cwl_prefect.errors import StorageError
from cwl_prefect.model.job import Mount
from cwl_prefect.storage.blobs import _RENEWED
from tests.object_store import ObjectStore

LARGE = b"large" * INLINE
PROGRAM = "ws/programs/1/x86_64"


def key(name: str) -> str:
    return f"ws/{blob(name * 40)}"


def listed(*names: str) -> bytes:
    entries = tuple(Entry(path=name, kind="file", sha1=name * 40) for name in names)
    return encoded([Tree(path="a", writable=True, entries=entries)])


@pytest.fixture
def store(object_store: ObjectStore) -> ObjectStore:
    """A store with four blobs, three of which the calls of two runs need."""
    for name in "0123":
        object_store.put(key(name), LARGE)
    object_store.put("ws/calls/one/call/inputs.json", listed("0"))
    object_store.put("ws/calls/one/call/outputs.json", listed("1"))
    object_store.put("ws/calls/two/call/inputs.json", listed("2"))
    object_store.put(PROGRAM, b"program")
    object_store.put("other/blobs/sha1/33/3", b"of somebody else")
    return object_store


@pytest.fixture
def aged(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let all of a kind be old, by a constant of the module."""
    return lambda name: monkeypatch.setattr(garbage, name, -1.0)


def test_a_blob_goes_that_is_old_and_that_no_call_needs(store: ObjectStore, aged: Callable[[str], None]) -> None:
    before = store.keys()
    assert collect_garbage(store.url("ws")) == Garbage()
    aged("BLOB_AGE_S")
    told = Garbage(objects=1, freed=len(LARGE))
    assert collect_garbage(store.url("ws"), dry_run=True) == told
    assert store.keys() == before
    assert collect_garbage(store.url("ws")) == told
    assert set(before) - set(store.keys()) == {key("3")}


def test_lists_that_nobody_removed_go_and_then_what_they_name(store: ObjectStore, aged: Callable[[str], None]) -> None:
    aged("CALL_AGE_S")
    aged("BLOB_AGE_S")
    assert collect_garbage(store.url("ws")).objects == 3 + 4
    assert store.keys("ws") == [PROGRAM]


def test_calls_of_one_run_go_with_it(store: ObjectStore) -> None:
    remove_calls(store.url("ws"), "one")
    assert store.keys("ws/calls") == ["ws/calls/two/call/inputs.json"]


def test_where_a_list_cannot_be_read_nothing_goes(store: ObjectStore, aged: Callable[[str], None]) -> None:
    aged("BLOB_AGE_S")
    store.put("ws/calls/two/call/outputs.json", b"[1]")
    before = store.keys()
    with pytest.raises(StorageError, match=r"ws/calls/two/call/outputs\.json is no list of files of a call"):
        collect_garbage(store.url("ws"))
    assert store.keys() == before


def test_it_goes_page_by_page(store: ObjectStore, aged: Callable[[str], None]) -> None:
    for number in range(1001):
        store.put(f"ws/blobs/sha1/ff/{number}", b"x")
    aged("BLOB_AGE_S")
    assert collect_garbage(store.url("ws")).objects == 1002
    assert len(store.keys("ws/blobs")) == 3


async def test_a_driver_takes_for_granted_only_what_is_younger_than_what_goes(
    object_store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _RENEWED.total_seconds() + TRUSTED_S < garbage.BLOB_AGE_S
    given = tmp_path / "given"
    given.write_bytes(LARGE)
    containers = TransferContainers(url=object_store.url("ws"), image="x", secret=None, launcher="x")
    driver = Transfers(containers=containers, runs=tmp_path / "runs")
    await driver.send("call", [Mount(source=given, target="/given")])
    there = f"ws/{blob(sha1_of(str(given)))}"
    object_store.remove(there)
    await driver.send("next", [Mount(source=given, target="/given")])
    assert object_store.keys("ws/blobs") == []

    now_s = transfers.time.monotonic()
    monkeypatch.setattr(transfers.time, "monotonic", lambda: now_s + TRUSTED_S + 1)
    await driver.send("later", [Mount(source=given, target="/given")])
    assert object_store.keys("ws/blobs") == [there]
