"""What is said about the Docker engine, by one that is not there and by one that answers what it is told to."""

from pathlib import Path

import pytest

from cwl_prefect.backends.docker.checks import docker_findings, no_engine, own_container, seen_by_engine
from cwl_prefect.backends.docker.descriptions import MountPoint
from cwl_prefect.model.findings import Severity
from tests.unit.backends.stub_engine import StubEngine

NOWHERE = Path("/nowhere")


@pytest.mark.parametrize(("needed", "severity"), [(True, Severity.ERROR), (False, Severity.WARNING)])
async def test_no_engine_matters_where_it_is_needed(
    needed: bool, severity: Severity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    (found,) = await docker_findings(NOWHERE, needed=needed, mounts=NOWHERE)
    assert found.severity is severity
    assert "no Docker engine answers" in found.message
    assert found.fix


async def test_an_engine_that_answers_is_well(engine: StubEngine) -> None:
    (found,) = await docker_findings(NOWHERE, needed=True, mounts=NOWHERE)
    assert (found.severity, found.message) == (Severity.OK, "it answers: version 20.10, API 1.41.")


async def test_an_engine_that_refuses_is_not_well(engine: StubEngine) -> None:
    engine.refuse("GET /version", 500, "broken")
    (found,) = await docker_findings(NOWHERE, needed=False, mounts=NOWHERE)
    assert found.severity is not Severity.OK
    assert "broken" in found.message


def test_a_container_is_known_by_what_docker_mounts_into_it() -> None:
    identifier = "0" * 64
    line = f"1 2 8:1 /var/lib/docker/containers/{identifier}/resolv.conf /etc/resolv.conf rw - ext4 /dev/sda rw\n"
    assert own_container("1 2 0:1 / / rw - overlay overlay rw\n" + line) == identifier
    assert own_container("1 2 0:1 / / rw - overlay overlay rw\n\n") is None


def test_a_flow_run_in_a_container_without_the_socket_is_told_what_its_pool_lacks(tmp_path: Path) -> None:
    line = f"1 2 8:1 /var/lib/docker/containers/{'0' * 64}/hosts /etc/hosts rw - ext4 /dev/sda rw\n"
    inside, outside, engine_socket = tmp_path / "inside", tmp_path / "outside", tmp_path / "docker.sock"
    inside.write_text(line)
    outside.write_text("1 2 0:1 / / rw - overlay overlay rw\n")

    assert f"{engine_socket}:{engine_socket} and" in str(no_engine("x", mounts=inside, engine_socket=engine_socket))
    for mounts in (outside, tmp_path / "none"):
        assert "Start Docker" in str(no_engine("x", mounts=mounts, engine_socket=engine_socket))
    engine_socket.touch()
    assert "Start Docker" in str(no_engine("x", mounts=inside, engine_socket=engine_socket))


def test_a_host_that_has_mounts_of_its_containers_is_none() -> None:
    place = f"/var/lib/docker/containers/{'0' * 64}/mounts/shm"
    assert own_container(f"1 2 0:1 / {place} rw - tmpfs shm rw\n3 4 8:1 {place} /shm rw - ext4 /dev/sda rw\n") is None


@pytest.mark.parametrize(
    ("workdir", "seen"),
    [
        ("/data/runs", "/srv/data/runs"),
        ("/data/own/runs", "/data/own/runs"),
        ("/data", "/srv/data"),
        ("/database", None),
    ],
)
def test_the_innermost_mount_counts(workdir: str, seen: str | None) -> None:
    mounts = [
        MountPoint(Destination="/data", Source="/srv/data"),
        MountPoint(Destination="/data/own", Source="/data/own"),
    ]
    assert seen_by_engine(Path(workdir), mounts) == (None if seen is None else Path(seen))


@pytest.mark.parametrize(
    ("source", "severity", "message"),
    [
        ("/data", Severity.OK, "is the same for this container and the engine"),
        ("/srv", Severity.ERROR, "is /srv/runs for the engine"),
        (None, Severity.ERROR, "is only inside this container"),
    ],
    ids=["same-path", "other-path", "inside"],
)
async def test_a_driver_in_a_container_needs_the_same_path(
    engine: StubEngine, tmp_path: Path, source: str | None, severity: Severity, message: str
) -> None:
    identifier = "a" * 64
    engine.inspections[identifier] = [] if source is None else [{"Destination": "/data", "Source": source}]
    (tmp_path / "mountinfo").write_text(f"1 2 8:1 /x/containers/{identifier}/hosts /etc/hosts rw - ext4 /dev/sda rw\n")
    _, found = await docker_findings(Path("/data/runs"), needed=True, mounts=tmp_path / "mountinfo")
    assert found.severity is severity
    assert message in found.message


async def test_a_container_of_another_engine_is_none_of_ours(engine: StubEngine, tmp_path: Path) -> None:
    (tmp_path / "mountinfo").write_text(f"1 2 8:1 /x/containers/{'b' * 64}/hosts /etc/hosts rw - ext4 /dev/sda rw\n")
    (found,) = await docker_findings(Path("/data/runs"), needed=True, mounts=tmp_path / "mountinfo")
    assert found.severity is Severity.OK
