"""Locks of keys exclude others, and end with whoever holds them."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cwl_prefect._lib.key_locks import KeyLocks

HOLDER = """
import sys, time
from pathlib import Path
from cwl_prefect._lib.key_locks import KeyLocks
locks = KeyLocks(Path(sys.argv[1]))
print(locks.take("key"), flush=True)
time.sleep(60)
"""


def test_one_at_a_time(tmp_path: Path):
    ours, theirs = KeyLocks(tmp_path / "new" / "locks"), KeyLocks(tmp_path / "new" / "locks")
    assert ours.take("key")
    assert not theirs.take("key")
    assert theirs.take("other key")
    ours.give_back("key")
    assert theirs.take("key")
    assert not ours.take("key")
    theirs.close()
    assert ours.take("key")


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path: Path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "locks")], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        locks = KeyLocks(tmp_path / "locks")
        assert not locks.take("key")
        holder.send_signal(signal.SIGKILL)
        holder.wait(10)
        assert locks.take("key")


@pytest.mark.parametrize(("directory", "locks"), [(0o2775, 0o664), (0o755, 0o644), (0o700, 0o600), (0o1777, 0o600)])
def test_locks_are_there_for_those_who_share_the_directory(tmp_path: Path, directory: int, locks: int):
    tmp_path.chmod(directory)
    umask = os.umask(0o002)
    try:
        KeyLocks(tmp_path / "locks").take("key")
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "locks").stat().st_mode) == locks


def test_where_there_can_be_no_locks_nobody_waits(tmp_path: Path):
    (tmp_path / "file").write_text("")
    locks = KeyLocks(tmp_path / "file" / "locks")
    assert locks.take("key")
    locks.give_back("key")
    locks.close()
