"""Trees of files as lists, and back."""

import os
from pathlib import Path

import pytest

from cwl_prefect.backends.kubernetes.transfers.trees import (
    INLINE,
    Entry,
    Tree,
    decoded,
    encoded,
    make,
    scanned,
    sha1_of,
)

LARGE = b"x" * (INLINE + 1)


def copy(top: Path, target: Path, **options: bool) -> None:
    """Make a tree of what another's list says, with large files from there."""
    (tree,) = decoded(encoded([Tree(path="a", writable=True, entries=tuple(scanned(str(top), **options)))]))
    make(str(target), tree.entries, lambda entry, place: Path(place).write_bytes((top / entry.path).read_bytes()))


def test_a_tree_comes_back_as_it_was(tmp_path: Path) -> None:
    top = tmp_path / "top"
    (top / "empty").mkdir(parents=True)
    (top / "deep").mkdir()
    (top / "deep/large").write_bytes(LARGE)
    (top / "run").write_bytes(b"#!/bin/sh")
    (top / "run").chmod(0o755)
    Path(os.fsdecode(bytes(top) + b"/odd \xff\nname")).write_bytes(b"odd")
    (top / "link").symlink_to("deep/large")
    (top / "astray").symlink_to("/no/such")
    os.mkfifo(top / "pipe")
    os.utime(top / "run", ns=(1, 10**18))
    (top / "deep").chmod(0o555)

    copy(top, tmp_path / "copy")

    assert list(scanned(str(tmp_path / "copy"))) == list(scanned(str(top)))
    assert (tmp_path / "copy/pipe").is_fifo()


def test_a_file_is_a_tree_too(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(LARGE)
    copy(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == LARGE


def test_links_are_followed_where_that_is_asked_for(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    (tmp_path / "elsewhere").write_bytes(LARGE)
    (top / "link").symlink_to(tmp_path / "elsewhere")
    (top / "astray").symlink_to("/no/such")

    found = {entry.path: entry for entry in scanned(str(top), follow=True)}

    assert (found["link"].kind, found["link"].sha1) == ("file", sha1_of(str(tmp_path / "elsewhere")))
    assert (found["astray"].kind, found["astray"].target) == ("link", "/no/such")


def test_a_directory_that_contains_itself_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "again").symlink_to(tmp_path)
    with pytest.raises(OSError, match="contains itself"):
        list(scanned(str(tmp_path), follow=True))


@pytest.mark.parametrize("path", ["../out", "/etc/passwd", "a/../../b", "a//b", ".", "nul\0"])
def test_nothing_is_made_outside(tmp_path: Path, path: str) -> None:
    top = Entry(path="", kind="directory", mode=0o755)
    with pytest.raises(ValueError, match="no path inside"):
        make(str(tmp_path / "top"), [top, Entry(path=path, kind="file", content="")], lambda *_: None)


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    entries = [
        Entry(path="", kind="directory", mode=0o755),
        Entry(path="link", kind="link", target=str(tmp_path / "victim")),
        Entry(path="link/file", kind="file", mode=0o644, content=""),
    ]
    with pytest.raises(OSError, match="No such file"):
        make(str(tmp_path / "top"), entries, lambda *_: None)
    assert list((tmp_path / "victim").iterdir()) == []


@pytest.mark.parametrize("body", [b"{}x", b"[{}]", b'[{"path": "a", "writable": 1, "entries": [{"nose": 1}]}]', b"[1]"])
def test_what_is_no_list_is_told(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"no list of files|JSON|Extra data"):
        decoded(body)
