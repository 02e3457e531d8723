"""A cache can be looked after: checked, swept and emptied, without harm to what is left."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cwl_prefect.engine.cache import care
from cwl_prefect.engine.cache.care import read_entries, sweep, verify
from cwl_prefect.engine.cache.checksums import Checksums
from cwl_prefect.engine.cache.entry import encode_entry
from cwl_prefect.engine.cache.places import lock_file, open_store
from cwl_prefect.engine.cache.remote import RemoteStore
from cwl_prefect.engine.cache.store import DamagedError, LocalStore, Store
from cwl_prefect.errors import UsageError
from cwl_prefect.model.cache import CacheEntry, CallKey, StoredFile

AA, BB, CC = (letter * 64 for letter in "abc")


def stored(content: bytes) -> StoredFile:
    return StoredFile(path="x", checksum=f"sha1${hashlib.sha1(content).hexdigest()}", size=len(content))


@pytest.fixture(params=["directory", "file URL", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    url = {
        "directory": str(tmp_path / "cache"),
        "file URL": (tmp_path / "a cache").as_uri(),
        "memory": f"memory://{tmp_path.name}",
    }
    return open_store(url[request.param], tmp_path / "home", Checksums(None))


@pytest.fixture
def keep(store: Store, tmp_path: Path) -> Callable[..., None]:
    return _keeper(store, tmp_path)


def _keeper(store: Store, tmp_path: Path) -> Callable[..., None]:
    def keep(key: str, *contents: bytes) -> None:
        for number, content in enumerate(contents):
            (tmp_path / f"{key}-{number}").write_bytes(content)
            store.put(stored(content), tmp_path / f"{key}-{number}")
        entry = CacheEntry(
            key=CallKey(digest=key, parts={}),
            step="s",
            tool="t",
            run_id="r",
            created_at=1.0,
            duration_s=1.0,
            outputs={},
            files=tuple(map(stored, contents)),
        )
        store.write_entry(key, encode_entry(entry))

    return keep


def names(store: Store) -> tuple[list[str], int]:
    return [kept.name for kept, _ in read_entries(store)], len(list(store.objects()))


def test_a_store_gives_back_what_it_was_given(store: Store, keep: Callable[..., None], tmp_path: Path):
    keep(AA, b"content")
    store.get(stored(b"content"), tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"content"
    assert store.read_entry(BB) is None
    assert names(store) == ([AA], 1)
    store.put(stored(b"content"), tmp_path / f"{AA}-0")
    assert names(store) == ([AA], 1)


def test_what_is_not_there_is_never_given(store: Store, tmp_path: Path):
    with pytest.raises(DamagedError):
        store.get(stored(b"content"), tmp_path / "back")
    assert list(tmp_path.glob("*back*")) == []
    store.remove_entry(AA)
    store.remove_object(AA)
    assert not store.check_object("aa-1")


def test_verifying_removes_what_is_damaged(store: Store, keep: Callable[..., None]):
    keep(AA, b"good")
    keep(BB, b"bad")
    keep(CC)
    assert verify(store).whole
    _damage(store, stored(b"bad").object_name)
    found = verify(store)
    assert (found.damaged_entries, found.damaged_objects, found.whole) == (1, 1, False)
    assert names(store) == ([AA, CC], 1)
    assert verify(store).whole


def test_sweeping_keeps_what_is_needed(store: Store, keep: Callable[..., None], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(care, "GRACE_S", -1.0)
    keep(AA, b"shared", b"one")
    keep(BB, b"shared")
    store.remove_entry(AA)
    assert sweep(store, dry_run=True).objects == 1
    assert names(store) == ([BB], 2)
    assert (sweep(store).objects, names(store)) == (1, ([BB], 1))
    assert sweep(store).freed == 0


def test_a_young_object_is_left_alone(store: Store, keep: Callable[..., None]):
    keep(AA, b"about to be kept")
    store.remove_entry(AA)
    assert sweep(store).objects == 0


def test_sweeping_by_age(store: Store, keep: Callable[..., None]):
    keep(AA, b"x")
    assert sweep(store, unused_for_s=100).entries == 0
    assert sweep(store, unused_for_s=-1).entries == 1


def test_sweeping_everything(store: Store, keep: Callable[..., None]):
    keep(AA, b"x")
    keep(BB, b"y")
    swept = sweep(store, most_bytes=0)
    assert (swept.entries, swept.objects) == (2, 2)
    assert swept.freed > 2
    assert names(store) == ([], 0)


def test_what_was_used_longest_ago_goes_first(tmp_path: Path, keep_local: tuple[LocalStore, Callable[..., None]]):
    store, keep = keep_local
    for number, key in enumerate((AA, BB, CC)):
        keep(key, key[:2].encode() * 500)
        os.utime(tmp_path / "cache" / "entries" / key[:2] / key, (number, number))
    size = sum(kept.size for kept in store.entries()) + 2000
    assert sweep(store, most_bytes=size).entries == 1
    assert names(store)[0] == [BB, CC]


@pytest.fixture
def keep_local(tmp_path: Path) -> tuple[LocalStore, Callable[..., None]]:
    store = LocalStore(tmp_path / "cache", Checksums(None))
    return store, _keeper(store, tmp_path)


class TestRemote:
    @pytest.fixture
    def store(self, tmp_path: Path) -> RemoteStore:
        found = open_store(f"memory://remote-{tmp_path.name}", tmp_path, Checksums(None))
        assert isinstance(found, RemoteStore)
        return found

    def test_a_damaged_object_is_never_given_and_is_removed(self, store: RemoteStore, keep, tmp_path: Path):
        keep(AA, b"content")
        _damage(store, stored(b"content").object_name)
        with pytest.raises(DamagedError, match="is damaged"):
            store.get(stored(b"content"), tmp_path / "back")
        assert not (tmp_path / "back").exists()
        assert list(store.objects()) == []

    def test_a_damaged_entry_is_none_and_removed(self, store: RemoteStore):
        store.write_entry(AA, b"{}")
        store._files.pipe_file(store._path("entries", AA), b"torn")
        assert store.read_entry(AA) is None
        assert list(store.entries()) == []

    def test_whatever_its_file_system_raises_is_an_os_error(self, store: RemoteStore, monkeypatch, tmp_path: Path):
        def fail(*_arguments: object, **_named: object) -> None:
            raise RuntimeError("GET https://host/x?signature=secret failed")

        for method in ("cat_file", "pipe_file", "get_file", "find", "rm_file", "open"):
            monkeypatch.setattr(store._files, method, fail)
        assert store.read_entry(AA) is None
        with pytest.raises(OSError, match=r"cannot be written: RuntimeError\.$"):
            store.write_entry(AA, b"{}")
        with pytest.raises(DamagedError, match=r"cannot be read: RuntimeError\.$"):
            store.get(stored(b"x"), tmp_path / "back")
        assert list(store.entries()) == []
        assert not store.check_object("aa-1")
        store.remove_entry(AA)

    def test_locks_of_a_remote_cache_lie_on_this_machine(self, store: RemoteStore, tmp_path: Path):
        assert lock_file(store, tmp_path) == tmp_path / "cache.locks"
        assert store.place.startswith("memory://")

    def test_a_url_of_no_known_kind_is_refused(self, tmp_path: Path):
        with pytest.raises(UsageError, match="cannot be opened"):
            open_store("nonsense://x", tmp_path, Checksums(None))


def test_the_homes_own_cache(tmp_path: Path):
    store = open_store(None, tmp_path, Checksums(None))
    assert store.place == str(tmp_path / "cache")
    assert lock_file(store, tmp_path) == tmp_path / "cache" / "locks"


def _damage(store: Store, name: str) -> None:
    if isinstance(store, RemoteStore):
        path = store._path("objects", name)
        store._files.pipe_file(path, b"X" * store._files.info(path)["size"])
    else:
        assert isinstance(store, LocalStore)
        path = store._object(name)
        path.chmod(0o644)
        path.write_bytes(b"X" * path.stat().st_size)
        os.utime(path, (5, 5))
