"""Who holds a lock keeps the others out, until it releases it or ends."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cwl_prefect._lib.file_lock import KeyLocks, is_locked, lock, locked_directory, try_lock

ELSEWHERE = """
import sys
from pathlib import Path
from cwl_prefect._lib.file_lock import {name}
{call}
"""


def elsewhere(name: str, call: str, path: Path) -> str:
    """Call something in another process, and give what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE.format(name=name, call=call), str(path)],
        check=False,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip() or done.stderr.strip().rpartition("\n")[2].partition(":")[0]


class TestFiles:
    TAKE = "print(try_lock(Path(sys.argv[1])) is not None)"

    def test_another_process_does_not_have_it_before_it_is_released(self, tmp_path):
        held = try_lock(tmp_path / "lock")
        assert held is not None
        assert elsewhere("try_lock", self.TAKE, held.path) == "False"
        held.release()
        assert elsewhere("try_lock", self.TAKE, held.path) == "True"

    def test_a_process_that_ends_has_released_it(self, tmp_path):
        assert elsewhere("try_lock", self.TAKE, tmp_path / "lock") == "True"
        assert not is_locked(tmp_path / "lock")

    def test_looking_makes_no_file(self, tmp_path):
        assert not is_locked(tmp_path / "lock")
        assert not (tmp_path / "lock").exists()

    def test_shared_locks_are_held_together(self, tmp_path):
        first, second = (try_lock(tmp_path / "lock", shared=True) for _ in range(2))
        assert first is not None
        assert second is not None
        assert try_lock(tmp_path / "lock") is None

    async def test_waiting_ends(self, tmp_path):
        assert try_lock(tmp_path / "lock") is not None
        assert await lock(tmp_path / "lock", timeout_s=0.01) is None

    def test_a_link_is_not_followed(self, tmp_path):
        (tmp_path / "lock").symlink_to(tmp_path / "other")
        with pytest.raises(OSError, match="symbolic links"):
            try_lock(tmp_path / "lock")

    def test_what_it_says_is_replaced(self, tmp_path):
        held = try_lock(tmp_path / "lock")
        assert held is not None
        held.write("something long")
        held.write("short")
        assert held.path.read_text() == "short"


class TestDirectories:
    HOLD = "with locked_directory(Path(sys.argv[1]), wait=False): print('held')"

    def test_another_process_does_not_have_it_meanwhile(self, tmp_path):
        with locked_directory(tmp_path, wait=False):
            assert elsewhere("locked_directory", self.HOLD, tmp_path) == "BlockingIOError"
        assert elsewhere("locked_directory", self.HOLD, tmp_path) == "held"

    def test_it_may_be_removed_meanwhile(self, tmp_path):
        (tmp_path / "directory").mkdir()
        with locked_directory(tmp_path / "directory", wait=True):
            (tmp_path / "directory").rmdir()
        assert not (tmp_path / "directory").exists()

    def test_a_link_is_not_followed_nor_a_descriptor_left(self, tmp_path):
        (tmp_path / "link").symlink_to(tmp_path)
        before = sorted(Path("/proc/self/fd").iterdir())
        with pytest.raises(OSError, match="Not a directory"), locked_directory(tmp_path / "link", wait=True):
            pass
        assert sorted(Path("/proc/self/fd").iterdir()) == before


class TestKeys:
    HOLDER = """
import sys, time
from pathlib import Path
from cwl_prefect._lib.file_lock import KeyLocks
locks = KeyLocks(Path(sys.argv[1]))
print(locks.take("key"), flush=True)
time.sleep(60)
"""

    def test_one_at_a_time(self, tmp_path: Path):
        ours, theirs = KeyLocks(tmp_path / "new" / "locks"), KeyLocks(tmp_path / "new" / "locks")
        assert ours.take("key")
        assert not theirs.take("key")
        assert theirs.take("other key")
        ours.give_back("key")
        assert theirs.take("key")
        assert not ours.take("key")
        theirs.close()
        assert ours.take("key")

    def test_the_lock_of_a_killed_process_is_taken_over(self, tmp_path: Path):
        with subprocess.Popen(
            [sys.executable, "-c", self.HOLDER, str(tmp_path / "locks")], stdout=subprocess.PIPE, text=True
        ) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "True\n"
            locks = KeyLocks(tmp_path / "locks")
            assert not locks.take("key")
            holder.send_signal(signal.SIGKILL)
            holder.wait(10)
            assert locks.take("key")

    @pytest.mark.parametrize(("directory", "locks"), [(0o2775, 0o664), (0o755, 0o644), (0o700, 0o600), (0o1777, 0o600)])
    def test_locks_are_there_for_those_who_share_the_directory(self, tmp_path: Path, directory: int, locks: int):
        tmp_path.chmod(directory)
        umask = os.umask(0o002)
        try:
            KeyLocks(tmp_path / "locks").take("key")
        finally:
            os.umask(umask)
        assert stat.S_IMODE((tmp_path / "locks").stat().st_mode) == locks

    def test_where_there_can_be_no_locks_nobody_waits(self, tmp_path: Path):
        (tmp_path / "file").write_text("")
        locks = KeyLocks(tmp_path / "file" / "locks")
        assert locks.take("key")
        locks.give_back("key")
        locks.close()
