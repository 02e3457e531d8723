import asyncio
import os
import signal
import subprocess
import sys
import textwrap

import pytest

from cwl_prefect.cli.interrupt import run_interruptibly
from cwl_prefect.errors import InputError, InterruptedRunError


def test_the_result_comes_back_and_handlers_are_as_before():
    before = signal.getsignal(signal.SIGINT)

    async def work():
        await asyncio.sleep(0)
        return 7

    assert run_interruptibly(work) == 7
    assert signal.getsignal(signal.SIGINT) is before


def test_errors_come_through():
    async def work():
        raise InputError("no")

    with pytest.raises(InputError, match="no"):
        run_interruptibly(work)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_the_work_and_waits_for_its_clean_up(number):
    cleaned = []

    async def work():
        asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), number)
        try:
            await asyncio.sleep(30)
        finally:
            await asyncio.sleep(0.1)
            cleaned.append(True)

    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        with pytest.raises(InterruptedRunError):
            run_interruptibly(work)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    assert cleaned == [True]


STUBBORN = """
    import asyncio, sys
    from cwl_prefect.cli.interrupt import run_interruptibly

    async def work():
        print("ready", flush=True)
        while True:
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                print("deaf", flush=True)

    run_interruptibly(work, grace_s=float(sys.argv[1]))
"""


@pytest.mark.parametrize(
    ("grace_s", "signals"),
    [pytest.param(60, 2, id="second-signal-at-once"), pytest.param(0.3, 1, id="one-signal-after-the-grace")],
)
def test_work_that_does_not_end_is_left(grace_s, signals):
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(STUBBORN), str(grace_s)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == b"deaf\n"
    if signals == 2:
        process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)

    assert process.returncode == 130
    assert b"Stopping" in errors
    assert b"Traceback" not in errors
