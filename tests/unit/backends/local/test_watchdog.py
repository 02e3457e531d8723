"""Processes end with a driver that is killed."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from cwl_prefect.backends.local.watchdog import Watchdog
from tests.waiting import until

DRIVER = """
import subprocess, sys, time
from cwl_prefect.backends.local.watchdog import Watchdog

watchdog = Watchdog()
ended = subprocess.Popen(["true"], start_new_session=True)
watchdog.started(ended.pid)
watchdog.ended(ended.pid)
ended.wait()
running = subprocess.Popen(["sh", "-c", "sleep 300 & setsid sleep 300 & wait"], start_new_session=True)
watchdog.started(running.pid)
time.sleep(0.3)
print(running.pid, watchdog._process.pid, flush=True)
time.sleep(300)
"""


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def until_gone(processes: list[psutil.Process]) -> None:
    until(lambda: all(map(gone, processes)), 10)


def test_what_a_killed_driver_left_is_ended_with_all_descendants_and_then_the_watchdog_ends() -> None:
    with subprocess.Popen([sys.executable, "-c", DRIVER], stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None
        leader, watchdog = (psutil.Process(int(pid)) for pid in driver.stdout.readline().split())
        family = [leader, *leader.children(recursive=True)]
        assert len(family) == 3
        driver.kill()
    until_gone([*family, watchdog])


@pytest.fixture
def sleeper():
    process = subprocess.Popen(["sleep", "300"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def test_what_has_ended_is_not_looked_for_again(sleeper: subprocess.Popen) -> None:
    watchdog = Watchdog()
    watchdog.started(sleeper.pid)
    watchdog.ended(sleeper.pid)
    watchdog.close()
    assert sleeper.poll() is None


def test_one_that_guards_nothing_is_ended_without_a_look_at_every_process():
    watchdog = Watchdog()
    watchdog._begin()
    process = watchdog._process
    assert process is not None
    watchdog.close()
    assert process.returncode == -signal.SIGKILL


def test_closing_ends_what_is_guarded(sleeper: subprocess.Popen) -> None:
    watchdog = Watchdog()
    watchdog.started(sleeper.pid)
    watchdog.close()
    assert sleeper.wait(5) == -9


def test_a_watchdog_that_was_killed_hinders_nobody(sleeper: subprocess.Popen) -> None:
    watchdog = Watchdog()
    watchdog.started(sleeper.pid)
    assert watchdog._process is not None
    watchdog._process.kill()
    watchdog._process.wait()
    watchdog.started(sleeper.pid)
    watchdog.ended(sleeper.pid)
    watchdog.close()
    assert sleeper.poll() is None


def test_a_watchdog_that_cannot_be_made_hinders_nobody(monkeypatch: pytest.MonkeyPatch, sleeper) -> None:
    monkeypatch.setattr("cwl_prefect.backends.local.watchdog.sys.executable", str(Path("/no/python")))
    watchdog = Watchdog()
    watchdog.started(sleeper.pid)
    assert watchdog._process is None
    watchdog.ended(sleeper.pid)
    watchdog.close()
    assert sleeper.poll() is None
