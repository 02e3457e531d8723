"""Homes of their own in which runs are killed, two at a time: most of a run's time is waiting."""

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from queue import SimpleQueue

import pytest

from tests.chaos.case import Case
from tests.chaos.executions import ContainerEvents
from tests.chaos.lane import Lane
from tests.chaos.playing import Ending, Player, Undisturbed
from tests.commands import command_environment

LANES = int(os.environ.get("CHAOS_LANES", "2"))


@pytest.fixture(scope="module")
def players(
    tmp_path_factory: pytest.TempPathFactory, docker_engine_problem: str | None
) -> "Iterator[SimpleQueue[Player]]":
    """Those who play cases, each in a home of its own."""
    with ExitStack() as stack:
        events = None
        if docker_engine_problem is None:
            events = ContainerEvents()
            stack.callback(events.close)
        free: SimpleQueue[Player] = SimpleQueue()
        for number in range(LANES):
            directory = tmp_path_factory.mktemp(f"lane-{number}")
            environment = stack.enter_context(contextmanager(command_environment)(directory))
            free.put(Player(lane=Lane(environment=environment, directory=directory), events=events))
        yield free


@pytest.fixture(scope="module")
def cases(request: pytest.FixtureRequest, docker_engine_problem: str | None) -> list[Case]:
    """The cases of this session that can run here, in the order of the tests."""
    chosen = [item.callspec.params.get("case") for item in request.session.items if hasattr(item, "callspec")]
    return [
        case
        for case in chosen
        if isinstance(case, Case) and (case.backend != "docker" or docker_engine_problem is None)
    ]


@pytest.fixture(scope="module")
def threads(players: "SimpleQueue[Player]") -> Iterator[ThreadPoolExecutor]:
    """One thread for each player."""
    with ThreadPoolExecutor(players.qsize(), thread_name_prefix="chaos") as made:
        yield made
        made.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def expected(
    cases: list[Case], threads: ThreadPoolExecutor, players: "SimpleQueue[Player]"
) -> "Mapping[str, Future[Undisturbed]]":
    """A run that nothing disturbs, on each backend."""
    return {name: threads.submit(_undisturbed, players, name) for name in sorted({case.backend for case in cases})}


@pytest.fixture(scope="module")
def endings(
    cases: list[Case],
    threads: ThreadPoolExecutor,
    players: "SimpleQueue[Player]",
    expected: "Mapping[str, Future[Undisturbed]]",
) -> "Mapping[Case, Future[Ending]]":
    """How each case ends."""
    return {case: threads.submit(_played, players, case, expected[case.backend]) for case in cases}


def _undisturbed(players: "SimpleQueue[Player]", backend: str) -> Undisturbed:
    player = players.get()
    try:
        return player.undisturbed(backend)
    finally:
        players.put(player)


def _played(players: "SimpleQueue[Player]", case: Case, expected: "Future[Undisturbed]") -> Ending:
    known = expected.result()
    player = players.get()
    try:
        return player.play(case, known)
    finally:
        players.put(player)
