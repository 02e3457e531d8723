"""Whoever else may write in a shared call cache reaches nothing of those who use it but their results."""

import contextlib
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cwl_prefect.engine.cache.care import sweep, verify
from cwl_prefect.engine.cache.checksums import Checksums
from cwl_prefect.engine.cache.entry import decode_entry, encode_entry, restore
from cwl_prefect.engine.cache.places import open_store
from cwl_prefect.engine.cache.remote import RemoteStore
from cwl_prefect.engine.cache.store import DamagedError, LocalStore, sealed
from cwl_prefect.model.cache import BrokenLink, CacheEntry, CallKey, StoredFile, StoredLink
from cwl_prefect.model.values import CwlObject

KEY = "ab" * 32
CONTENT = b"content"
FILE = StoredFile(path="out", checksum=f"sha1${hashlib.sha1(CONTENT).hexdigest()}", size=len(CONTENT))


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    """The user's own files, which have names as the cache gives them, and others."""
    directory = tmp_path / "Documents"
    (directory / FILE.object_name).mkdir(parents=True)
    for name in ("letter.txt", KEY, f"{FILE.object_name}/deep.txt", "1.2.3.elsewhere"):
        (directory / name).write_text("mine")
    os.utime(directory / "1.2.3.elsewhere", (1, 1))
    return directory


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def store(cache: Path) -> LocalStore:
    return LocalStore(cache, Checksums(None))


def contents(directory: Path) -> dict[str, str]:
    return {str(path): path.read_text() for path in directory.rglob("*") if path.is_file()}


def maintain(store: LocalStore) -> None:
    """Do all that maintenance and runs do to what is old or damaged."""
    store.remove_leftovers()
    verify(store)
    sweep(store, unused_for_s=-1, most_bytes=0)
    for key in (KEY, "letter.txt", "../../Documents", f"../../Documents/{KEY}"):
        store.read_entry(key)
        store.remove_entry(key)
        store.remove_object(key)
    store.remove_object(FILE.object_name)


LINKS: dict[str, Callable[[Path], Path]] = {
    "entries": lambda cache: cache / "entries",
    "objects": lambda cache: cache / "objects",
    "parts": lambda cache: cache / "parts",
    "shard of entries": lambda cache: cache / "entries" / KEY[:2],
    "shard of objects": lambda cache: cache / "objects" / FILE.object_name[:2],
    "shard named as a file": lambda cache: cache / "objects" / "le",
    "entry": lambda cache: cache / "entries" / KEY[:2] / KEY,
    "object": lambda cache: cache / "objects" / FILE.object_name[:2] / FILE.object_name,
}


@pytest.mark.parametrize("place", LINKS.values(), ids=LINKS.keys())
def test_a_link_in_a_cache_harms_nothing_that_it_leads_to(
    store: LocalStore, cache: Path, documents: Path, place: Callable[[Path], Path]
):
    link, before = place(cache), contents(documents)
    link.parent.mkdir(parents=True)
    link.symlink_to(documents)
    maintain(store)
    assert contents(documents) == before


@pytest.mark.parametrize("place", list(LINKS.values())[:6], ids=list(LINKS)[:6])
def test_nothing_is_written_through_a_link(
    store: LocalStore, cache: Path, documents: Path, tmp_path: Path, place: Callable[[Path], Path]
):
    link, before = place(cache), contents(documents)
    link.parent.mkdir(parents=True)
    link.symlink_to(documents)
    (tmp_path / "source").write_bytes(CONTENT)
    for write in (lambda: store.write_entry(KEY, b"{}"), lambda: store.put(FILE, tmp_path / "source")):
        with contextlib.suppress(OSError):
            write()
    assert contents(documents) == before


def test_an_object_is_not_taken_through_a_link(store: LocalStore, cache: Path, tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / FILE.object_name).write_bytes(CONTENT)
    (cache / "objects").mkdir(parents=True)
    (cache / "objects" / FILE.object_name[:2]).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DamagedError):
        store.get(FILE, tmp_path / "target")
    assert (tmp_path / "elsewhere" / FILE.object_name).read_bytes() == CONTENT


def test_a_fifo_in_place_of_an_entry_or_object_does_not_hold_a_run_up(store: LocalStore, cache: Path):
    for kind, name in (("entries", KEY), ("objects", FILE.object_name)):
        (cache / kind / name[:2]).mkdir(parents=True)
        os.mkfifo(cache / kind / name[:2] / name)
    assert store.read_entry(KEY) is None
    assert not store.check_object(FILE.object_name)
    assert not verify(store).whole


@pytest.mark.parametrize("kind", ["entries", "objects"])
def test_files_of_other_names_are_neither_listed_nor_removed(store: LocalStore, cache: Path, kind: str):
    (cache / kind / "le").mkdir(parents=True)
    kept = [cache / kind / "le" / name for name in ("letter.txt", "le" * 32, KEY.upper(), ".hidden")]
    for path in kept:
        path.write_text("mine")
    assert list(getattr(store, kind)()) == []
    maintain(store)
    assert all(path.exists() for path in kept)


def test_files_of_other_names_in_a_bucket_are_neither_listed_nor_removed(tmp_path: Path):
    store = open_store(f"memory://{tmp_path.name}", tmp_path, Checksums(None))
    assert isinstance(store, RemoteStore)
    others = [f"{store._root}/{path}" for path in ("entries/le/letter.txt", f"objects/zz/{FILE.object_name}")]
    for path in others:
        store._files.pipe_file(path, b"mine")
    assert [*store.entries(), *store.objects()] == []
    verify(store)
    sweep(store, most_bytes=0)
    store.remove_entry("../entries/le/letter.txt")
    assert all(store._files.exists(path) for path in others)


def entry(**forged) -> CacheEntry:
    made = CacheEntry(
        key=CallKey(digest=KEY, parts={}),
        step="s",
        tool="t",
        run_id="r",
        created_at=1.0,
        duration_s=1.0,
        **{"outputs": {}, **forged},
    )
    decoded = decode_entry(KEY, encode_entry(made))
    assert decoded is not None
    return decoded


def small(path: str) -> StoredFile:
    return StoredFile(path=path, checksum=FILE.checksum, size=FILE.size, content=CONTENT)


def place(location: str, **more: str) -> CwlObject:
    return {"o": {"class": "File", "location": location, "basename": "x", **more}}


@pytest.mark.parametrize(
    "forged",
    [
        pytest.param({"outputs": place("file:///etc/passwd")}, id="location-elsewhere"),
        pytest.param({"outputs": place("/etc/passwd")}, id="location-as-a-path"),
        pytest.param({"outputs": place("_:1", path="/etc/passwd")}, id="path-beside-a-literal"),
        pytest.param({"outputs": {"o": {"class": "File", "path": "/etc/passwd"}}}, id="path-alone"),
        pytest.param({"outputs": place("out:../secret")}, id="out-of-the-outputs"),
        pytest.param({"outputs": place("in:0:../secret")}, id="out-of-an-input"),
        pytest.param({"outputs": place("in:-1:")}, id="negative-input"),
        pytest.param({"outputs": place("in:x:")}, id="no-number-of-an-input"),
        pytest.param({"outputs": place("in:7:")}, id="no-such-input"),
        pytest.param({"files": (small("../made"),)}, id="file-outside"),
        pytest.param({"files": (small("/tmp/made-by-a-cache"),)}, id="file-by-an-absolute-path"),
        pytest.param({"directories": ("../made",)}, id="directory-outside"),
        pytest.param({"links": (StoredLink(path="../made", number=0),)}, id="link-outside"),
        pytest.param({"links": (StoredLink(path="made", number=-1),)}, id="link-to-a-negative-input"),
        pytest.param({"broken_links": (BrokenLink(path="made", target=""),)}, id="broken-link-to-nothing"),
        pytest.param({"broken_links": (BrokenLink(path="made", target="a\0b"),)}, id="broken-link-to-no-path"),
        pytest.param(
            {"links": (StoredLink(path="a", number=0), StoredLink(path="a/made", number=0))}, id="link-within-an-input"
        ),
        pytest.param(
            {"links": (StoredLink(path="a", number=0),), "broken_links": (BrokenLink(path="a/made", target="/x"),)},
            id="broken-link-within-an-input",
        ),
    ],
)
def test_a_forged_entry_leads_nowhere(store: LocalStore, tmp_path: Path, forged: dict):
    given = tmp_path / "given"
    given.mkdir()
    outdir = tmp_path / "outdir"
    outdir.mkdir()
    inputs: list[CwlObject] = [{"class": "Directory", "location": given.as_uri(), "basename": "given"}]
    with pytest.raises(DamagedError):
        restore(entry(**forged), outdir, inputs, store, Checksums(None))
    assert list(given.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["given", "outdir"]


def test_an_entry_of_another_key_is_none(store: LocalStore, cache: Path):
    other = "cd" * 32
    store.write_entry(other, encode_entry(entry()))
    (cache / "entries" / KEY[:2]).mkdir()
    (cache / "entries" / KEY[:2] / KEY).write_bytes(sealed(encode_entry(entry()).replace(KEY.encode(), other.encode())))
    body = store.read_entry(KEY)
    assert body is not None
    assert decode_entry(KEY, body) is None
