"""A call arrives as it was sent: arguments, variables, mask, signals, streams and directory."""

import os
import signal
import socket
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cwl_prefect.server.standby.call import (
    CHANNEL,
    PASSED_ON,
    Call,
    receive_call,
    receive_number,
    send_call,
    send_number,
)

TEXT = st.text(st.characters(exclude_characters="\0"))


@given(arguments=st.lists(TEXT), value=TEXT, umask=st.integers(0, 0o777))
def test_a_call_arrives(arguments: list[str], value: str, umask: int) -> None:
    sent = Call(arguments=arguments, environment={"PWD": value}, umask=umask, ignored=[signal.SIGHUP])
    left, right = socket.socketpair(socket.AF_UNIX, CHANNEL)
    with left, right:
        sending = threading.Thread(target=send_call, args=(left, sent))
        sending.start()
        received, descriptors = receive_call(right)
        sending.join()
    here = [os.fstat(descriptor) for descriptor in descriptors]
    for descriptor in descriptors:
        os.close(descriptor)

    assert received == sent
    assert [found.st_ino for found in here] == [*(os.fstat(n).st_ino for n in (0, 1, 2)), Path.cwd().stat().st_ino]


@pytest.mark.parametrize(("size", "fits"), [(100_000, True), (2_000_000, False)])
def test_a_long_call_arrives_whole_or_not_at_all(size: int, fits: bool) -> None:
    sent = Call(arguments=["x" * size], environment={}, umask=0, ignored=[])
    left, right = socket.socketpair(socket.AF_UNIX, CHANNEL)
    with left, right:
        if not fits:
            with pytest.raises(OSError, match="too long"):
                send_call(left, sent)
            return
        send_call(left, sent)
        received, descriptors = receive_call(right)
    for descriptor in descriptors:
        os.close(descriptor)

    assert received == sent


@pytest.mark.parametrize("number", [0, -1, 4_194_304, 1 << 40])
def test_a_number_arrives(number: int) -> None:
    left, right = socket.socketpair(socket.AF_UNIX, CHANNEL)
    with left, right:
        send_number(left, number)
        assert receive_number(right) == number


@pytest.mark.parametrize("receive", [receive_call, receive_number])
def test_a_sender_that_is_gone_is_told(receive) -> None:
    left, right = socket.socketpair(socket.AF_UNIX, CHANNEL)
    with right:
        left.close()
        with pytest.raises(EOFError):
            receive(right)


def test_an_own_call_says_what_is_ignored_and_leaves_the_mask() -> None:
    before = os.umask(0o027)
    handlers = {number: signal.signal(number, signal.SIG_DFL) for number in PASSED_ON}  # these may be ignored here
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        call = Call.own(["run"], {"PWD": "/data", "TERM": "xterm"})
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
        for number, handler in handlers.items():
            signal.signal(number, handler)

    assert call == Call(
        arguments=["run"], environment={"PWD": "/data", "TERM": "xterm"}, umask=0o027, ignored=[signal.SIGHUP]
    )
