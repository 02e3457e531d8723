import asyncio
import os
import signal
import subprocess
import sys

import pytest

from cwl_prefect.engine.scheduling import machine_shares, scheduler
from cwl_prefect.engine.scheduling.machine import machine_name, machine_resources
from cwl_prefect.engine.scheduling.machine_shares import MachineShares, shares_of_machine
from cwl_prefect.engine.scheduling.scheduler import ResourcePool
from cwl_prefect.engine.scheduling.share import Share
from cwl_prefect.model.job import Resources
from tests.waiting import eventually

WHOLE = Share.of(4, 100)
KILLED = """
import signal, sys
from pathlib import Path
from cwl_prefect.engine.scheduling.machine_shares import MachineShares
from cwl_prefect.engine.scheduling.share import Share
shares = MachineShares(Path(sys.argv[1]), Share.of(4, 100))
assert shares.take(Share.of(4, 100))
print("taken", flush=True)
signal.pause()
"""


def cores(number):
    return Share.of(number, 1)


@pytest.fixture
def runs(tmp_path):
    """Three runs of one machine."""
    opened = [MachineShares(tmp_path, WHOLE) for _ in range(3)]
    yield opened
    for run in opened:
        run.close()


def test_runs_together_take_no_more_than_there_is(runs):
    first, second, third = runs
    assert first.take(Share.of(1, 60))
    assert second.take(Share.of(3, 40))
    assert not third.take(Share.of(1, 1))  # no core is left
    second.give_back(Share.of(2, 0))
    assert not third.take(Share.of(1, 1))  # no memory is left
    first.give_back(Share.of(0, 1))
    assert third.take(Share.of(1, 1))


def test_what_a_closed_run_held_is_free(runs, tmp_path):
    gone = MachineShares(tmp_path, WHOLE)
    assert gone.take(cores(4))
    assert not runs[0].take(cores(1))
    gone.close()
    assert runs[0].take(cores(4))


def test_what_a_killed_run_held_is_free_at_once(runs, tmp_path):
    with subprocess.Popen([sys.executable, "-c", KILLED, tmp_path], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        assert not runs[0].take(cores(1))
        process.send_signal(signal.SIGKILL)
    assert runs[0].take(cores(4))


def test_one_that_waits_for_all_of_the_machine_is_not_passed_by_small_ones(runs):
    first, second, large = runs
    assert first.take(cores(2))
    assert second.take(cores(2))
    assert not large.take(cores(4))
    first.give_back(cores(2))
    assert not first.take(cores(2))
    assert not large.take(cores(4))
    second.give_back(cores(2))
    assert not second.take(cores(2))
    assert large.take(cores(4))


def test_the_one_that_holds_least_is_next_then_the_one_that_waits_longest(runs):
    first, second, third = runs
    assert first.take(cores(4))
    assert not second.take(cores(1))
    assert not third.take(cores(1))
    first.give_back(cores(1))
    assert not first.take(cores(1))
    assert not third.take(cores(1))
    assert second.take(cores(1))
    first.give_back(cores(1))
    assert not second.take(cores(1))
    assert third.take(cores(1))


def test_a_run_alone_takes_again_what_it_gave_back(runs):
    assert runs[0].take(cores(4))
    runs[0].give_back(cores(4))
    assert runs[0].take(cores(4))


def test_one_that_waits_no_more_blocks_nobody(runs):
    first, second, large = runs
    assert first.take(cores(2))
    assert not large.take(cores(4))
    assert not second.take(cores(1))
    large.wait_no_more()
    assert second.take(cores(1))


def test_one_that_was_stopped_while_it_waits_blocks_nobody(runs, monkeypatch):
    first, second, stopped = runs
    assert first.take(cores(2))
    assert not stopped.take(cores(4))
    monkeypatch.setattr(machine_shares, "_FORGOTTEN_NS", 0)
    assert second.take(cores(1))


def test_a_table_that_cannot_be_read_any_more_stops_nobody(runs, monkeypatch, caplog):
    def broken(*_):
        raise OSError("stale")

    assert runs[0].take(cores(4))
    monkeypatch.setattr(os, "pread", broken)
    assert runs[1].take(cores(4))
    assert runs[1].take(cores(4))
    assert [record.getMessage() for record in caplog.records] == [
        "this run shares cores and memory with no other run of this machine: stale"
    ]


def test_where_no_directory_can_be_made_a_run_has_the_machine_for_itself(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    with shares_of_machine(tmp_path / "file" / "machines") as shares:
        assert shares is None
    assert "shares cores and memory with no other run" in caplog.text


def test_what_earlier_starts_of_machines_left_is_removed_unless_another_machine_uses_it(tmp_path):
    MachineShares(tmp_path / "earlier", WHOLE).close()
    used = MachineShares(tmp_path / "another", WHOLE)
    with shares_of_machine(tmp_path):
        own = machine_name(*machine_resources())
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["another", own])
    used.close()


def test_the_table_is_for_the_user_alone(tmp_path):
    with shares_of_machine(tmp_path / "machines"):
        made = [tmp_path / "machines", *(tmp_path / "machines").rglob("*")]
        assert [path for path in made if path.stat().st_mode & 0o077] == []


class TestPools:
    """Pools of several runs on one machine."""

    @pytest.fixture
    def pools(self, runs):
        return [ResourcePool(cores=4, ram_mib=100, shares=shares) for shares in runs]

    async def test_calls_of_several_runs_have_the_machine_together_and_all_get_their_turn(self, pools):
        used, most, served = 0, 0, []

        async def call(number, pool, asked):
            nonlocal used, most
            async with pool.reserve(Resources(cores=asked, ram_mib=1)):
                used += asked
                most = max(most, used)
                await asyncio.sleep(0)
                used -= asked
                served.append(number)

        async with asyncio.timeout(30), asyncio.TaskGroup() as calls:
            for number, asked in enumerate([1, 1, 4, 2, 1, 3, 1, 1, 4, 1, 2, 1]):
                calls.create_task(call(number, pools[number % 3], asked))
        assert sorted(served) == list(range(12))
        assert most <= 4

    async def test_a_waiter_that_is_cancelled_lets_other_runs_go_first(self, pools):
        first, second, third = pools
        async with first.reserve(Resources(cores=2, ram_mib=1)):
            large = asyncio.create_task(_held(second))
            await asyncio.sleep(0)
            large.cancel()
            await asyncio.wait([large])
            async with asyncio.timeout(1), third.reserve(Resources(cores=2, ram_mib=1)):
                pass

    async def test_tells_that_other_runs_have_what_calls_wait_for(self, pools, monkeypatch, caplog):
        monkeypatch.setattr(scheduler, "_TOLD_AFTER_S", 0)
        async with pools[0].reserve(Resources(cores=4, ram_mib=1)):
            waiting = asyncio.create_task(_held(pools[1]))
            await eventually(lambda: caplog.records)
        await waiting
        assert [record.getMessage() for record in caplog.records] == [
            "calls wait for cores or memory that other runs of this machine use"
        ]


async def _held(pool):
    async with pool.reserve(Resources(cores=4, ram_mib=1)):
        pass
