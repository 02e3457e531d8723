"""Where processes stand by, and when none may."""

import os
import sys
from pathlib import Path

import pytest

from cwl_prefect.server.standby import place
from cwl_prefect.server.standby.place import own_place, private_directory

CALLED = ["/bin/cwl-prefect", "run", "tool.cwl"]


@pytest.fixture
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory whose path is short enough for sockets in it."""
    return tmp_path_factory.mktemp("r")


@pytest.fixture(autouse=True)
def _called(monkeypatch: pytest.MonkeyPatch, runtime: Path) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    monkeypatch.delenv(place.IDLE_VARIABLE, raising=False)
    monkeypatch.setattr(sys, "orig_argv", [sys.executable, *CALLED])
    monkeypatch.setattr(sys, "argv", CALLED)


def test_it_is_in_a_directory_of_the_user_alone(runtime: Path) -> None:
    found = own_place()

    assert found is not None
    assert found.directory == runtime / f"cwl-prefect-{os.getuid()}"
    assert found.directory.stat().st_mode & 0o777 == 0o700
    assert found.socket.suffix == ".sock"
    assert (found.socket.stem, found.record.stem) == (found.name, found.name)
    assert found.idle_s == place.IDLE_S


@pytest.mark.parametrize("value", ["0", "-1", "soon"])
def test_none_is_wanted(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(place.IDLE_VARIABLE, value)

    assert own_place() is None


def test_a_file_of_settings_says_how_long(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cwl-prefect.toml").write_text("standby_idle_s = 7\n")
    found = own_place()

    assert found is not None
    assert found.idle_s == 7.0


def test_none_is_wanted_where_a_file_of_settings_is_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cwl-prefect.toml").write_text("standby_idle_s: 7\n")

    assert own_place() is None


def test_none_may_for_a_python_with_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "orig_argv", [sys.executable, "-X", "dev", *CALLED])

    assert own_place() is None


def test_none_may_where_an_open_file_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "orig_argv", [sys.executable, *CALLED, "/dev/fd/63"])
    monkeypatch.setattr(sys, "argv", [*CALLED, "/dev/fd/63"])

    assert own_place() is None


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_none_may_on_other_systems(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    monkeypatch.setattr(sys, "platform", platform)

    assert own_place() is None


def test_a_directory_that_others_can_enter_is_not_used(runtime: Path) -> None:
    shared = runtime / f"cwl-prefect-{os.getuid()}"
    shared.mkdir()
    shared.chmod(0o755)

    assert own_place() is None
    with pytest.raises(PermissionError, match="not private"):
        private_directory(os.environ)


def test_a_path_that_is_too_long_for_a_socket_is_not_used(monkeypatch: pytest.MonkeyPatch, runtime: Path) -> None:
    deep = runtime / ("d" * 80)
    deep.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))

    assert own_place() is None


def test_a_link_to_a_directory_is_not_used(runtime: Path) -> None:
    elsewhere = runtime / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    (runtime / f"cwl-prefect-{os.getuid()}").symlink_to(elsewhere)

    assert own_place() is None
