import asyncio
import itertools
import logging
import os
from types import SimpleNamespace

import pytest

from cwl_prefect.flows.lifecycle import disk_watch
from cwl_prefect.flows.lifecycle.disk_watch import watched
from tests.waiting import eventually


@pytest.fixture
def disk(monkeypatch):
    """Gives a disk so much room at one look after another, the last for ever."""

    def has(*free_mib: int) -> None:
        looks = itertools.chain(free_mib, itertools.repeat(free_mib[-1]))
        monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=next(looks) * 256, f_frsize=4096))

    return has


@pytest.mark.parametrize(
    ("free", "warnings"),
    [((100,), 0), ((100, 10), 1), ((10, 100, 10), 2)],
    ids=["room for all", "filling up", "filling up again"],
)
async def test_want_of_room_is_told_once_each_time(tmp_path, caplog, disk, monkeypatch, free, warnings):
    disk(*free)
    monkeypatch.setattr(disk_watch, "INTERVAL_S", 0.001)
    with caplog.at_level(logging.WARNING):
        async with watched(tmp_path, 50):
            await eventually(lambda: len(caplog.records) >= warnings)
            await asyncio.sleep(0.05)
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "the disk is nearly full"
    ] * warnings


async def test_nothing_is_watched_where_nothing_is_demanded(tmp_path):
    before = asyncio.all_tasks()
    async with watched(tmp_path, 0):
        assert asyncio.all_tasks() == before


async def test_the_watch_ends_with_the_run(tmp_path):
    before = asyncio.all_tasks()
    async with watched(tmp_path, 1):
        assert len(asyncio.all_tasks()) == len(before) + 1
    assert asyncio.all_tasks() == before
