import asyncio
import os
import time

import pytest

from cwl_prefect.errors import BackendError, InputError
from cwl_prefect.flows import driver_lock as claiming
from cwl_prefect.flows.driver_lock import claim, is_driven, last_alive, seen_alive
from cwl_prefect.flows.lifecycle.opening import open_run
from tests.unit.flows.driving import drive, graph
from tests.waiting import eventually


def test_the_first_driver_finds_nothing_of_an_earlier_one(tmp_path):
    with claim(tmp_path / "runs", "run") as claimed:
        assert not claimed.again
        assert is_driven(claimed.directory)
    assert not is_driven(claimed.directory)


def test_a_second_driver_is_refused_and_told_who_drives(tmp_path):
    with claim(tmp_path, "run"), pytest.raises(InputError, match=r"process [0-9]+ on "), claim(tmp_path, "run"):
        pass


def test_a_later_driver_knows_and_starts_without_the_scratch_of_the_earlier(tmp_path):
    with claim(tmp_path, "run") as claimed:
        (claimed.directory / ".scratch" / "0" / "tmp").mkdir(parents=True)
        (claimed.directory / "step").mkdir()
    with claim(tmp_path, "run") as claimed:
        assert claimed.again
        assert not (claimed.directory / ".scratch").exists()
        assert (claimed.directory / "step").exists()


def test_a_directory_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(BackendError, match="--workdir"), claim(tmp_path / "runs", "run"):
        pass


async def test_a_driver_gives_signs_of_life_until_it_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(claiming, "SIGN_OF_LIFE_S", 0.01)
    before = asyncio.all_tasks()
    with claim(tmp_path, "run") as claimed:
        os.utime(claimed.directory / ".driver", (1, 1))
        async with seen_alive(claimed, 3600):
            await eventually(lambda: time.time() - last_alive(claimed.directory) < 60)
    assert asyncio.all_tasks() == before


async def test_an_open_run_gives_signs_of_life(tmp_path, monkeypatch):
    monkeypatch.setattr(claiming, "SIGN_OF_LIFE_S", 0.01)
    run = drive(tmp_path, graph("inputs: {}\noutputs: {}\nsteps: {}"))
    async with open_run(run.plan, run.request, "run") as opened:
        directory = opened.runs / "run"
        os.utime(directory / ".driver", (1, 1))
        await eventually(lambda: time.time() - last_alive(directory) < 60)


async def test_signs_of_life_need_no_directory(tmp_path, monkeypatch):
    monkeypatch.setattr(claiming, "SIGN_OF_LIFE_S", 0.001)
    with claim(tmp_path, "run") as claimed:
        async with seen_alive(claimed, 3600):
            (claimed.directory / ".driver").unlink()
            await asyncio.sleep(0.05)
        assert not (claimed.directory / ".driver").exists()
    assert last_alive(tmp_path / "none") == 0
