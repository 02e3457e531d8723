"""A small file is whole, or as it was before."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cwl_prefect._lib import atomic_write
from cwl_prefect._lib.atomic_write import write_whole

KILLED = """
import os, signal, sys
from pathlib import Path
from cwl_prefect._lib import atomic_write
atomic_write._name = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
atomic_write.write_whole(Path(sys.argv[1]), b"new")
"""


@pytest.fixture(params=["nameless", "aside"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How files are written: as the file system can, or as one does that has no files without names."""
    if request.param == "aside":
        real = os.open

        def refusing(path: str, flags: int, mode: int = 0o777) -> int:
            if flags & os.O_TMPFILE == os.O_TMPFILE:
                raise OSError(errno.EOPNOTSUPP, "no files without names here")
            return real(path, flags, mode)

        monkeypatch.setattr(atomic_write.os, "open", refusing)
    return str(request.param)


@pytest.mark.usefixtures("way")
class TestWriting:
    @pytest.mark.parametrize("before", [None, b"old"], ids=["new", "in place of another"])
    @pytest.mark.parametrize("durable", [False, True], ids=["soon", "durable"])
    def test_a_file_is_there_with_all_that_was_written(self, tmp_path: Path, before: bytes | None, *, durable: bool):
        path = tmp_path / "file"
        if before is not None:
            path.write_bytes(before)
        write_whole(path, b"new", durable=durable)
        assert path.read_bytes() == b"new"
        assert list(tmp_path.iterdir()) == [path]

    @pytest.mark.parametrize("mode", [0o600, 0o644])
    def test_it_has_the_rights_that_were_asked_for(self, tmp_path: Path, mode: int):
        write_whole(tmp_path / "file", b"", mode=mode)
        assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == mode

    def test_what_cannot_be_replaced_stays_and_nothing_is_left_beside_it(self, tmp_path: Path):
        (tmp_path / "file").mkdir()
        with pytest.raises(IsADirectoryError):
            write_whole(tmp_path / "file", b"new")
        assert [path.name for path in tmp_path.iterdir()] == ["file"]

    def test_a_directory_that_is_not_there_is_an_error(self, tmp_path: Path):
        with pytest.raises(FileNotFoundError):
            write_whole(tmp_path / "none" / "file", b"new")


def test_a_process_that_is_killed_while_it_writes_leaves_nothing(tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert killed.returncode < 0
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
