"""Who holds a lock keeps the others out, until it releases it or ends."""

import subprocess
import sys
from pathlib import Path

import pytest

from cwl_prefect._lib.file_lock import is_locked, lock, locked_directory, try_lock

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
