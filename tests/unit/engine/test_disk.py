"""Calls start only where there is room for what they write."""

import os
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from cwl_prefect.engine.disk import Room
from cwl_prefect.errors import BackendError


@dataclass
class Disk:
    """A disk with so much room, that counts how often it is looked at."""

    free_mib: float | None = 100.0
    looks: int = 0

    def free(self, _directory):
        self.looks += 1
        return self.free_mib

    def room(self, directory, least_mib=50.0):
        return Room(directory, least_mib, free=self.free)


@pytest.fixture
def disk():
    return Disk()


class FileSystem:
    """A file system with 100 MiB left, which knows what was asked about."""

    def __init__(self) -> None:
        self.asked: list[Path] = []

    def statvfs(self, directory: Path) -> SimpleNamespace:
        self.asked.append(directory)
        if not directory.is_dir():
            raise FileNotFoundError(directory)
        return SimpleNamespace(f_bavail=100 * 256, f_frsize=4096)


@pytest.fixture
def file_system(monkeypatch) -> FileSystem:
    found = FileSystem()
    monkeypatch.setattr(os, "statvfs", found.statvfs)
    return found


def test_room_is_enough_to_the_last_byte(file_system, tmp_path):
    Room(tmp_path, 100).demand()
    with pytest.raises(BackendError, match="100 MiB are free"):
        Room(tmp_path, 100.0001).demand()
    assert file_system.asked == [tmp_path, tmp_path]


def test_a_full_disk_is_told_with_what_helps(tmp_path):
    with pytest.raises(BackendError, match=r"the disk is full: \d+ MiB are free") as raised:
        Room(tmp_path, 1e12).demand()
    assert "workspace du" in (raised.value.hint or "")


def test_nothing_is_looked_at_where_nothing_is_demanded(tmp_path, disk):
    disk.room(tmp_path, 0).demand()
    assert disk.looks == 0


def test_a_directory_that_is_not_there_is_left_to_who_makes_it(file_system, tmp_path):
    Room(tmp_path / "none", 1e12).demand()
    assert file_system.asked == [tmp_path / "none"]


def test_a_disk_that_fills_up_refuses_calls_until_there_is_room_again(tmp_path, disk):
    room = disk.room(tmp_path)
    room.demand()
    disk.free_mib = 10.0
    with pytest.raises(BackendError, match="10 MiB are free"):
        room.demand()
    disk.free_mib = 60.0
    room.demand()
