"""A store gives back exactly what was put into it, or nothing."""

import hashlib
import os
import random
import socket
from pathlib import Path

import pytest

from cwl_prefect.engine.cache import store as cache_store
from cwl_prefect.engine.cache.checksums import Checksums
from cwl_prefect.engine.cache.store import DamagedError, LocalStore, opened, sealed
from cwl_prefect.model.cache import StoredFile

KEY = "abcd" * 16


def stored(content: bytes, **more) -> StoredFile:
    checksum = f"sha1${hashlib.sha1(content).hexdigest()}"
    return StoredFile(path="out", checksum=checksum, size=len(content), **more)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "cache", Checksums(tmp_path / "sums"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "made.txt"
    path.write_bytes(b"content")
    return path


def only_object(tmp_path: Path) -> Path:
    (found,) = (tmp_path / "cache" / "objects").glob("??/*")
    return found


class TestEntries:
    def test_an_entry_comes_back(self, store: LocalStore):
        store.write_entry(KEY, b"{}")
        assert store.read_entry(KEY) == b"{}"
        store.write_entry(KEY, b"[]")
        assert store.read_entry(KEY) == b"[]"
        assert [kept.name for kept in store.entries()] == [KEY]

    def test_one_that_is_not_there_is_none(self, store: LocalStore):
        assert store.read_entry(KEY) is None
        store.remove_entry(KEY)

    @pytest.mark.parametrize("damage", [b"", b"{}", sealed(b"{}")[:-1], sealed(b"{}") + b"x", b"\xff" * 99])
    def test_a_torn_entry_is_none_and_removed(self, store: LocalStore, tmp_path: Path, damage: bytes):
        store.write_entry(KEY, b"{}")
        (tmp_path / "cache" / "entries" / "ab" / KEY).write_bytes(damage)
        assert store.read_entry(KEY) is None
        assert list(store.entries()) == []

    def test_a_directory_in_place_of_an_entry_is_replaced_or_removed(self, store: LocalStore, tmp_path: Path):
        place = tmp_path / "cache" / "entries" / "ab" / KEY
        (place / "inside").mkdir(parents=True)
        assert store.read_entry(KEY) is None
        store.write_entry(KEY, b"{}")
        assert store.read_entry(KEY) == b"{}"
        place.unlink()
        (place / "inside").mkdir(parents=True)
        store.remove_entry(KEY)
        assert list(store.entries()) == []

    def test_a_failed_write_leaves_nothing(self, store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        def full(*_arguments: object, **_named: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "replace", full)
        with pytest.raises(OSError, match="No space"):
            store.write_entry(KEY, b"{}")
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []

    def test_use_is_noted(self, store: LocalStore, tmp_path: Path):
        store.write_entry(KEY, b"{}")
        os.utime(tmp_path / "cache" / "entries" / "ab" / KEY, (1000, 1000))
        store.read_entry(KEY)
        (kept,) = store.entries()
        assert kept.used_at > 1000

    def test_others_of_the_machine_cannot_look_in(self, store: LocalStore, tmp_path: Path):
        store.write_entry(KEY, b"{}")
        assert (tmp_path / "cache").stat().st_mode & 0o077 == 0

    @pytest.mark.parametrize("body", [b"", b"x\ny", b"\n"])
    def test_sealing_is_undone_by_opening(self, body: bytes):
        assert opened(sealed(body)) == body


def test_leftovers_of_killed_processes_are_removed(store: LocalStore, tmp_path: Path):
    store.write_entry(KEY, b"{}")
    parts = tmp_path / "cache" / "parts"
    here = socket.gethostname()
    ours, dead = parts / f"{os.getpid()}.1.1.{here}", parts / f"{2**22 + 1}.1.1.{here}"
    old, new = parts / "1.1.1.else.where", parts / "2.1.1.else.where"
    for path in (ours, dead, old, new, parts / "something else"):
        path.write_text("")
    os.utime(old, (1000, 1000))
    store.remove_leftovers()
    assert sorted(path.name for path in parts.iterdir()) == sorted([ours.name, new.name, "something else"])


class TestObjects:
    @pytest.mark.parametrize("executable", [False, True])
    def test_a_file_comes_back(self, store: LocalStore, tmp_path: Path, source: Path, executable: bool):
        file = stored(b"content", executable=executable)
        store.put(file, source)
        store.get(file, tmp_path / "back.txt")
        assert (tmp_path / "back.txt").read_bytes() == b"content"
        assert bool((tmp_path / "back.txt").stat().st_mode & 0o100) == executable

    def test_it_takes_no_room_twice(self, store: LocalStore, tmp_path: Path, source: Path):
        store.put(stored(b"content"), source)
        again = tmp_path / "again"
        again.write_bytes(b"content")
        store.put(stored(b"content"), again)
        assert only_object(tmp_path).stat().st_ino == source.stat().st_ino or store._clones
        assert [kept.size for kept in store.objects()] == [7]

    def test_a_link_to_a_file_is_kept_as_that_file(
        self, store: LocalStore, tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(cache_store, "clone", lambda *_, rights: False)
        (tmp_path / "latest.txt").symlink_to(source.name)
        store.put(stored(b"content"), tmp_path / "latest.txt")
        assert not only_object(tmp_path).is_symlink()
        assert only_object(tmp_path).stat().st_ino == source.stat().st_ino
        store.get(stored(b"content"), tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == b"content"

    def test_an_object_is_read_only(self, store: LocalStore, tmp_path: Path, source: Path):
        store.put(stored(b"content"), source)
        assert only_object(tmp_path).stat().st_mode & 0o222 == 0

    def test_a_file_with_another_name_is_copied(self, store: LocalStore, tmp_path: Path, source: Path):
        (tmp_path / "other name").hardlink_to(source)
        source.chmod(0o644)
        store.put(stored(b"content"), source)
        assert only_object(tmp_path).stat().st_ino != source.stat().st_ino
        assert source.stat().st_mode & 0o777 == 0o644

    def test_where_nothing_can_be_linked_it_is_copied(
        self, store: LocalStore, tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
    ):
        def refused(*_arguments: object) -> None:
            raise OSError(18, "Invalid cross-device link")

        monkeypatch.setattr(Path, "hardlink_to", refused)
        store.put(stored(b"content"), source)
        store.get(stored(b"content"), tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == b"content"
        (tmp_path / "back").write_bytes(b"changed")
        assert only_object(tmp_path).read_bytes() == b"content"

    def test_where_files_can_be_cloned_they_are(
        self, store: LocalStore, tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
    ):
        def cloned(origin: Path, target: Path, *, rights: int) -> bool:
            target.write_bytes(origin.read_bytes())
            return True

        monkeypatch.setattr(cache_store, "clone", cloned)
        store.put(stored(b"content"), source)
        store.get(stored(b"content"), tmp_path / "back")
        assert {path.stat().st_nlink for path in (source, only_object(tmp_path), tmp_path / "back")} == {1}
        assert os.access(tmp_path / "back", os.W_OK)

    def test_a_copy_of_something_else_is_refused(self, store: LocalStore, tmp_path: Path, source: Path):
        (tmp_path / "other name").hardlink_to(source)
        with pytest.raises(OSError, match="changed"):
            store.put(stored(b"CONTENT"), source)

    def test_an_intact_object_is_not_read_again(self, store: LocalStore, tmp_path: Path):
        content = random.Random(1).randbytes(300_000)
        (tmp_path / "made").write_bytes(content)
        store.put(stored(content), tmp_path / "made")
        checksums = Checksums(tmp_path / "sums")
        LocalStore(tmp_path / "cache", checksums).get(stored(content), tmp_path / "back")
        assert checksums.bytes_read == 0

    def test_a_directory_in_place_of_an_object_is_replaced(self, store: LocalStore, source: Path, tmp_path: Path):
        file = stored(b"content")
        store.put(file, source)
        place = only_object(tmp_path)
        place.unlink()
        (place / "inside").mkdir(parents=True)
        source.unlink()
        source.write_bytes(b"content")
        store.put(file, source)
        store.get(file, tmp_path / "again")
        assert (tmp_path / "again").read_bytes() == b"content"

    @pytest.mark.parametrize("damage", ["truncated", "deleted", "changed", "swapped", "directory", "link"])
    def test_a_damaged_object_is_never_given_and_is_repaired(self, store: LocalStore, tmp_path: Path, damage: str):
        for content in (b"content", b"CONTENT"):
            made = tmp_path / content.decode()
            made.write_bytes(content)
            store.put(stored(content), made)
        paths = {path.read_bytes(): path for path in (tmp_path / "cache" / "objects").glob("??/*")}
        harm(paths[b"content"], paths[b"CONTENT"], damage)
        with pytest.raises(DamagedError):
            store.get(stored(b"content"), tmp_path / "back")
        assert not (tmp_path / "back").exists()
        (tmp_path / "made again").write_bytes(b"content")
        store.put(stored(b"content"), tmp_path / "made again")
        store.get(stored(b"content"), tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == b"content"

    def test_putting_repairs_without_anybody_having_looked(self, store: LocalStore, tmp_path: Path, source: Path):
        store.put(stored(b"content"), source)
        harm(only_object(tmp_path), source, "changed")
        (tmp_path / "made again").write_bytes(b"content")
        store.put(stored(b"content"), tmp_path / "made again")
        assert only_object(tmp_path).read_bytes() == b"content"

    def test_checking_reads_it(self, store: LocalStore, tmp_path: Path, source: Path):
        store.put(stored(b"content"), source)
        name = stored(b"content").object_name
        assert store.check_object(name)
        harm(only_object(tmp_path), source, "changed")
        assert not store.check_object(name)
        store.remove_object(name)
        assert not store.check_object(name)


def harm(path: Path, other: Path, damage: str) -> None:
    if damage in ("truncated", "changed"):
        path.chmod(0o644)
        path.write_bytes(b"cont" if damage == "truncated" else b"CoNtEnT")
        os.utime(path, (2_000_000, 2_000_000))
        return
    if damage == "swapped":
        other.replace(path)
        return
    path.unlink()
    if damage == "directory":
        path.mkdir()
    if damage == "link":
        path.symlink_to(other)
