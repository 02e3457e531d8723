"""Checksums are computed once for each state of a file, also between runs."""

import hashlib
import os
from pathlib import Path

import pytest

from cwl_prefect.engine.cache.checksums import LARGE, Checksums, forget_old


def sha1(content: bytes) -> str:
    return f"sha1${hashlib.sha1(content).hexdigest()}"


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "reads.bam"
    path.write_bytes(b"x" * LARGE)
    os.utime(path, (1_000_000, 1_000_000))
    return path


def test_a_file_is_read_once_in_a_process(tmp_path: Path):
    path = tmp_path / "small"
    path.write_bytes(b"abc")
    checksums = Checksums(None)
    assert checksums.known(path, path.stat()) is None
    assert checksums.compute(path) == sha1(b"abc")
    assert checksums.known(path, path.stat()) == sha1(b"abc")


def test_a_large_file_is_not_read_again_by_another_process(tmp_path: Path, large: Path):
    Checksums(tmp_path / "home" / "sums").compute(large)
    later = Checksums(tmp_path / "home" / "sums")
    assert later.known(large, large.stat()) == sha1(b"x" * LARGE)
    assert later.bytes_read == 0


def test_a_file_that_was_just_written_is_read_again_by_another_process(tmp_path: Path, large: Path):
    os.utime(large)
    Checksums(tmp_path / "sums").compute(large)
    assert Checksums(tmp_path / "sums").known(large, large.stat()) is None


@pytest.mark.parametrize("change", ["content", "time", "other file"])
def test_a_changed_file_is_not_known(tmp_path: Path, large: Path, change: str):
    checksums = Checksums(tmp_path / "sums")
    checksums.compute(large)
    if change == "content":
        large.write_bytes(b"y" * (LARGE + 1))
    elif change == "time":
        os.utime(large, (1_000_001, 1_000_001))
    else:
        other = tmp_path / "other"
        other.write_bytes(b"y" * LARGE)
        os.utime(other, (1_000_000, 1_000_000))
        other.replace(large)
    for memory in (checksums, Checksums(tmp_path / "sums")):
        assert memory.known(large, large.stat()) is None


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 100, None], ids=["empty", "garbage", "torn"])
def test_a_damaged_memory_is_begun_anew(tmp_path: Path, large: Path, content: bytes | None):
    place = tmp_path / "sums"
    first = Checksums(place)
    first.compute(large)
    first.close()
    place.write_bytes(place.read_bytes()[:5000] if content is None else content)
    damaged = Checksums(place)
    assert damaged.known(large, large.stat()) is None
    assert damaged.compute(large) == sha1(b"x" * LARGE)
    damaged.close()
    Checksums(place).compute(large)
    assert Checksums(place).known(large, large.stat()) == sha1(b"x" * LARGE)


def test_a_memory_that_cannot_be_made_is_done_without(tmp_path: Path, large: Path):
    (tmp_path / "file").write_text("")
    checksums = Checksums(tmp_path / "file" / "sums")
    assert checksums.compute(large) == sha1(b"x" * LARGE)
    assert checksums.known(large, large.stat()) == sha1(b"x" * LARGE)


def test_what_is_no_regular_file_has_no_checksum(tmp_path: Path):
    with pytest.raises(OSError, match="regular"):
        Checksums(None).compute(tmp_path)


def test_old_checksums_are_forgotten(tmp_path: Path, large: Path):
    assert forget_old(tmp_path / "sums") == 0
    Checksums(tmp_path / "sums").compute(large)
    assert forget_old(tmp_path / "sums") == 0
    assert forget_old(tmp_path / "sums", older_than_s=-1) == 1
    assert Checksums(tmp_path / "sums").known(large, large.stat()) is None
