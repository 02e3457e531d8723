import pytest

from cwl_prefect.backends import docker_end
from cwl_prefect.backends.docker_end import ContainerEnd, container_end


@pytest.fixture
def pauses(monkeypatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr(docker_end, "sleep", slept.append)
    return slept


def descriptions(*noted: bool, memory: int = 1 << 24):
    """Give what the engine says at each look; the last holds from then on."""
    told = list(noted)

    def inspect() -> dict[str, object]:
        out_of_memory = told.pop(0) if len(told) > 1 else told[0]
        return {"HostConfig": {"Memory": memory}, "State": {"OOMKilled": out_of_memory, "Error": ""}}

    return inspect


def test_want_of_memory_that_the_engine_notes_late_is_seen(pauses):
    assert container_end(137, descriptions(False, False, True)) == ContainerEnd(exit_code=137, out_of_memory=True)
    assert pauses == list(docker_end.LOOKS_S[:2])


def test_it_is_not_waited_for_without_end(pauses):
    assert container_end(137, descriptions(False)) == ContainerEnd(exit_code=137)
    assert pauses == list(docker_end.LOOKS_S)


@pytest.mark.parametrize(("exit_code", "memory"), [(137, 0), (1, 1 << 24)], ids=["no-limit", "not-killed"])
def test_where_memory_cannot_be_the_cause_nobody_waits(pauses, exit_code, memory):
    assert container_end(exit_code, descriptions(False, memory=memory)).exit_code == exit_code
    assert pauses == []


def test_a_good_end_needs_no_look():
    assert container_end(0, lambda: pytest.fail("looked")) == ContainerEnd(exit_code=0)
