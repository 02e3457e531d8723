"""Who stands by is told by locks: what was killed leaves nothing that misleads."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cwl_prefect.server.standby import records
from cwl_prefect.server.standby.circumstances import Circumstances
from cwl_prefect.server.standby.place import Place, private_directory
from cwl_prefect.server.standby.records import MOST, end, hold, release, standing

HOME = Path("/home/of/cwl-prefect")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"XDG_RUNTIME_DIR": str(tmp_path)}


def at(environment: dict[str, str], name: str) -> Place:
    circumstances = Circumstances(environment=environment, directory=Path("/"), search_path=[])
    return Place(directory=private_directory(environment), name=name, circumstances=circumstances)


def test_it_is_known_by_its_home_until_it_is_released(environment: dict[str, str]) -> None:
    place = at(environment, "one")
    held = hold(place, HOME)
    assert held is not None

    assert standing(HOME, environment) == [os.getpid()]
    assert standing(Path("/another"), environment) == []

    release(place, held)
    assert standing(HOME, environment) == []
    assert list(place.directory.iterdir()) == []


def test_a_place_is_taken_once(environment: dict[str, str]) -> None:
    assert hold(at(environment, "one"), HOME) is not None
    assert hold(at(environment, "one"), HOME) is None


def test_the_one_that_waits_longest_gives_way_where_there_would_be_too_many(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = []
    monkeypatch.setattr(os, "kill", lambda pid, number: ended.append((pid, number)))
    for number in range(MOST):
        held = hold(at(environment, f"number-{number}"), HOME)
        assert held is not None
        os.utime(held.descriptor, (number, number))
    assert not ended

    assert hold(at(environment, "one-more"), HOME) is not None

    assert ended == [(os.getpid(), signal.SIGTERM)]


def test_whoever_looks_keeps_nobody_from_standing_by(environment: dict[str, str]) -> None:
    place = at(environment, "one")
    ended = threading.Event()

    def look() -> None:
        while not ended.is_set():
            standing(HOME, environment)

    looking = [threading.Thread(target=look) for _ in range(3)]
    for thread in looking:
        thread.start()
    try:
        for _ in range(50):
            held = hold(place, HOME)
            assert held is not None
            assert standing(HOME, environment) == [os.getpid()]
            release(place, held)
    finally:
        ended.set()
        for thread in looking:
            thread.join()


def test_what_was_killed_is_cleared_away(environment: dict[str, str]) -> None:
    killed = at(environment, "killed")
    killed.record.write_text('{"pid": 1, "home": "/home/of/cwl-prefect"}')
    killed.socket.touch()

    assert standing(HOME, environment) == []
    assert list(killed.directory.iterdir()) == []


def test_a_record_that_is_being_written_is_nobodys(environment: dict[str, str]) -> None:
    place = at(environment, "one")
    held = hold(place, HOME)
    assert held is not None
    held.write("")

    assert standing(HOME, environment) == []


def test_all_of_a_home_are_ended_and_no_others(environment: dict[str, str]) -> None:
    script = (
        "import sys, time; from pathlib import Path\n"
        "from tests.unit.server.standby.test_records import at; from cwl_prefect.server.standby.records import hold\n"
        f"assert hold(at({environment!r}, sys.argv[1]), Path(sys.argv[2])) is not None\n"
        "print('held', flush=True); time.sleep(60)"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", script, name, home], stdout=subprocess.PIPE)
        for name, home in (("a", str(HOME)), ("b", str(HOME)), ("c", "/another"))
    ]
    try:
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == b"held\n"

        assert end(HOME, environment) == 2
        assert standing(HOME, environment) == []
        assert standing(Path("/another"), environment) == [started[2].pid]
    finally:
        for process in started:
            process.kill()
            process.communicate()


def test_what_stands_by_in_another_container_is_not_ended_by_its_number(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = at(environment, "one")
    held = hold(place, HOME)
    assert held is not None
    monkeypatch.setattr(records, "namespace", lambda _: "pid:[1]")
    assert standing(HOME, environment) == []
    assert end(HOME, environment) == 0
    release(place, held)
