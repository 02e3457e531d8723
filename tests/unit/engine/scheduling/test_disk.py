"""Calls start only where there is room for what they write."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from cwl_prefect.engine.scheduling.disk import demand_room
from cwl_prefect.errors import BackendError


class FileSystem:
    """A file system with so much left, which knows what was asked about."""

    def __init__(self) -> None:
        self.free_mib = 100
        self.asked: list[Path] = []

    def statvfs(self, directory: Path) -> SimpleNamespace:
        self.asked.append(directory)
        if not directory.is_dir():
            raise FileNotFoundError(directory)
        return SimpleNamespace(f_bavail=self.free_mib * 256, f_frsize=4096)


@pytest.fixture
def file_system(monkeypatch) -> FileSystem:
    found = FileSystem()
    monkeypatch.setattr(os, "statvfs", found.statvfs)
    return found


def test_room_is_enough_to_the_last_byte(file_system, tmp_path):
    demand_room(tmp_path, 100)
    with pytest.raises(BackendError, match="100 MiB are free"):
        demand_room(tmp_path, 100.0001)
    assert file_system.asked == [tmp_path, tmp_path]


def test_a_full_disk_is_told_with_what_helps(tmp_path):
    with pytest.raises(BackendError, match=r"the disk is full: \d+ MiB are free") as raised:
        demand_room(tmp_path, 1e12)
    assert "workspace du" in (raised.value.hint or "")


def test_nothing_is_looked_at_where_nothing_is_demanded(file_system, tmp_path):
    demand_room(tmp_path, 0)
    assert file_system.asked == []


def test_a_directory_that_is_not_there_is_left_to_who_makes_it(file_system, tmp_path):
    demand_room(tmp_path / "none", 1e12)
    assert file_system.asked == [tmp_path / "none"]


def test_a_disk_that_fills_up_refuses_calls_at_once_until_there_is_room_again(file_system, tmp_path):
    demand_room(tmp_path, 50)
    file_system.free_mib = 10
    with pytest.raises(BackendError, match="10 MiB are free"):
        demand_room(tmp_path, 50)
    file_system.free_mib = 60
    demand_room(tmp_path, 50)
