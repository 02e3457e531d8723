"""What is the user's alone is made so, and what somebody else could have written is not read."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from cwl_prefect._lib.own_files import make_private, make_within, open_private, read_own, read_trusted


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"own")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o644, 0o755])
def test_the_users_own_files_are_read(file: Path, mode: int):
    file.chmod(mode)
    assert read_own(file) == b"own"


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_files_that_others_may_write_are_not(file: Path, mode: int):
    file.chmod(mode)
    with pytest.raises(PermissionError, match="somebody else could have written it"):
        read_own(file)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_files_of_another_user_are_not(file: Path):
    os.chown(file, 12345, 12345)
    with pytest.raises(PermissionError, match="somebody else could have written it"):
        read_own(file)


def test_links_and_pipes_are_not(file: Path, tmp_path: Path):
    (tmp_path / "link").symlink_to(file)
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("link", "pipe", "gone"):
        with pytest.raises(OSError, match=name):
            read_own(tmp_path / name)


def test_what_a_person_names_is_read_through_their_links(file: Path, tmp_path: Path):
    (tmp_path / "link").symlink_to(file)
    assert read_trusted(tmp_path / "link") == b"own"


@pytest.mark.parametrize("mode", [0o602, 0o666])
def test_what_a_person_names_is_not_read_where_others_may_write_it(file: Path, mode: int):
    file.chmod(mode)
    with pytest.raises(PermissionError, match="somebody else could have written it"):
        read_trusted(file)


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The group of all files: that of the user alone."""
    user = SimpleNamespace(pw_name="ann", pw_gid=os.getegid())
    found = SimpleNamespace(gr_name="ann", gr_mem=[])
    monkeypatch.setattr("pwd.getpwuid", lambda _: user)
    monkeypatch.setattr("grp.getgrgid", lambda _: found)
    return found


def test_what_a_person_names_may_be_writable_for_the_group_of_that_person_alone(file: Path, group: SimpleNamespace):
    file.chmod(0o664)
    assert read_trusted(file) == b"own"
    group.gr_mem = ["ann"]
    assert read_trusted(file) == b"own"


@pytest.mark.parametrize(("name", "members"), [("lab", []), ("ann", ["bob"])], ids=["shared", "with-others"])
def test_what_a_person_names_is_not_read_where_a_group_of_others_may_write_it(
    file: Path, group: SimpleNamespace, name: str, members: list[str]
):
    file.chmod(0o664)
    group.gr_name, group.gr_mem = name, members
    with pytest.raises(PermissionError, match="somebody else could have written it"):
        read_trusted(file)


@pytest.mark.usefixtures("group")
def test_what_a_person_names_is_not_read_where_an_access_list_lets_others_write(
    file: Path, monkeypatch: pytest.MonkeyPatch
):
    file.chmod(0o664)
    monkeypatch.setattr(os, "listxattr", lambda _: ["user.note", "system.posix_acl_access"])
    with pytest.raises(PermissionError, match="somebody else could have written it"):
        read_trusted(file)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_what_a_person_names_is_not_read_by_a_link_of_another_user(file: Path, tmp_path: Path):
    (tmp_path / "link").symlink_to(file)
    os.chown(tmp_path / "link", 12345, 12345, follow_symlinks=False)
    with pytest.raises(PermissionError, match="somebody else could have written it"):
        read_trusted(tmp_path / "link")


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def rights(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("open_umask")
def test_whatever_the_umask_the_users_own_is_made_for_the_user_alone(tmp_path: Path):
    tmp_path.chmod(0o777)
    make_private(tmp_path / "home" / "journals")
    with open(tmp_path / "home" / "journals" / "run", "a", opener=open_private):
        pass
    assert [rights(tmp_path / "home" / below) for below in ("", "journals", "journals/run")] == [0o700, 0o700, 0o600]


def test_a_directory_that_is_there_keeps_its_rights(tmp_path: Path):
    tmp_path.chmod(0o755)
    make_private(tmp_path)
    assert rights(tmp_path) == 0o755


@pytest.mark.usefixtures("open_umask")
@pytest.mark.parametrize(("around", "made"), [(0o700, 0o700), (0o755, 0o755), (0o770, 0o770), (0o1777, 0o700)])
def test_what_is_made_in_a_directory_is_no_more_open_than_it(tmp_path: Path, around: int, made: int):
    tmp_path.chmod(around)
    make_within(tmp_path / "run" / "step")
    assert [rights(tmp_path / below) for below in ("run", "run/step")] == [made, made]


def test_where_no_directory_can_be_made_is_told(file: Path):
    for make in (make_private, make_within):
        for place in (Path("/proc/nowhere/below"), file / "below"):
            with pytest.raises(OSError, match=r"nowhere|file"):
                make(place)


def test_what_is_above_may_be_made_by_somebody_else_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    make = Path.mkdir

    def late(path: Path, *arguments: int, **options: bool):
        if not path.parent.exists():
            path.parent.mkdir()
            raise FileNotFoundError
        make(path, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", late)
    make_private(tmp_path / "home" / "journals")
    assert (tmp_path / "home" / "journals").is_dir()
