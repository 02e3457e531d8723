import os
import time
from threading import Event

import pytest

from cwl_prefect.storage import leases
from cwl_prefect.storage.downloads import LEASES, Downloads
from cwl_prefect.storage.eviction import GRACE_S, evict

LONG_AGO = time.time() - 10 * GRACE_S


@pytest.fixture
def downloads(tmp_path):
    return Downloads(directory=tmp_path / "downloads")


@pytest.fixture
def fetched(web, downloads):
    """Fetch files as a process that has ended, and return their paths; each was used a second after another."""

    def _fetched(*names, size=1000):
        paths = [downloads.file(web.put(name, name.encode() * size), Event()).path for name in names]
        leases._LEASES.pop((downloads.directory / LEASES, os.getpid())).file.release()
        for number, path in enumerate(paths):
            os.utime(path, (LONG_AGO + number, path.stat().st_mtime))
        return paths

    return _fetched


def test_what_was_not_used_for_long_goes(fetched, downloads):
    old, young = fetched("a", "b")
    os.utime(young)

    assert evict(downloads.directory, unused_for_s=2 * GRACE_S).downloads == 1
    assert (old.exists(), young.exists()) == (False, True)


def test_what_was_used_longest_ago_goes_until_the_rest_is_small_enough(fetched, downloads):
    first, second, third = fetched("a", "b", "c")
    done = evict(downloads.directory, most_bytes=2000)

    assert (done.downloads, done.freed) == (1, 1000)
    assert [path.exists() for path in (first, second, third)] == [False, True, True]


def test_nothing_that_was_just_used_goes(fetched, downloads):
    (path,) = fetched("a")
    os.utime(path)

    assert evict(downloads.directory, unused_for_s=0.0, most_bytes=1).downloads == 0
    assert path.exists()


def test_whoever_clears_removes_that_too(fetched, downloads):
    (path,) = fetched("a")
    os.utime(path)

    assert evict(downloads.directory, most_bytes=0).downloads == 1
    assert not path.exists()


def test_nothing_goes_that_a_process_uses(web, downloads):
    path = downloads.file(web.put("a", b"content"), Event()).path
    os.utime(path, (LONG_AGO, LONG_AGO))

    assert evict(downloads.directory, unused_for_s=0.0, most_bytes=0).downloads == 0
    assert path.exists()


def test_what_would_go_is_told_and_stays(fetched, downloads):
    (path,) = fetched("a")

    assert evict(downloads.directory, most_bytes=0, dry_run=True).downloads == 1
    assert path.exists()


def test_what_went_is_fetched_again(fetched, web, downloads):
    (path,) = fetched("a")
    evict(downloads.directory, most_bytes=0)

    assert not path.exists()
    assert downloads.file(f"{web.address}/a", Event()).path.read_bytes() == b"a" * 1000


def test_a_half_that_nobody_goes_on_with_goes(fetched, downloads):
    (path,) = fetched("a")
    half = path.with_name("0.part")
    half.write_bytes(b"half")
    os.utime(half, (1, 1))

    assert evict(downloads.directory).downloads == 1
    assert (half.exists(), path.exists()) == (False, True)


def test_leases_of_processes_that_ended_are_removed(fetched, downloads):
    fetched("a")
    assert list((downloads.directory / LEASES).iterdir()) != []
    leases.held(downloads.directory / LEASES)

    assert leases.held(downloads.directory / LEASES) == frozenset()


def test_where_nothing_was_fetched_nothing_goes(tmp_path):
    assert evict(tmp_path / "none", most_bytes=0).downloads == 0
