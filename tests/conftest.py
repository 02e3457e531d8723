"""What all tests share: which engines they need, and what happens where there is none."""

import gc
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from cwl_prefect.server.standby.place import IDLE_VARIABLE
from tests.commandline.driving import CommandLine
from tests.commands import command_environment
from tests.object_store import ObjectStore, fresh_store, running_store

# Commands of tests leave nothing behind; what stands by for the next command has tests of its own.
os.environ[IDLE_VARIABLE] = "0"

# A busy machine makes examples slow; what a test is about it says by its assertions. Each run tries other examples:
# many runs try many. `--hypothesis-profile default` tries more at once.
settings.register_profile("cwl-prefect", deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("cwl-prefect")

pytest.register_assert_rewrite("tests.contract.backend_contract")

REQUIRE_ENGINES = "CWL_PREFECT_REQUIRE_ENGINES"


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Look for rubbish among what tests leave, not among what is imported for them."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def missing_engine(reason: str) -> None:
    """Skip a test for want of an engine, or fail it where engines are required."""
    if os.environ.get(REQUIRE_ENGINES) == "1":
        pytest.fail(f"{reason}, although {REQUIRE_ENGINES}=1", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def docker_engine_problem() -> str | None:
    """Why no Docker engine can be used, or None where one answers."""
    try:
        import docker
    except ImportError:
        return "the Docker SDK is not installed"
    try:
        client = docker.from_env(timeout=10)
        client.ping()
    except docker.errors.DockerException as exc:
        return f"no Docker engine answers ({exc})"
    client.close()
    return None


@pytest.fixture
def docker_engine(docker_engine_problem: str | None) -> None:
    """A Docker engine that answers; the test is skipped, or fails where engines are required, without one."""
    if docker_engine_problem is not None:
        missing_engine(docker_engine_problem)


@pytest.fixture(scope="session")
def cluster_problem() -> str | None:
    """Why no Kubernetes cluster can be used, or None where one answers."""
    from tests.kubernetes.cluster import problem

    return problem()


@pytest.fixture
def cluster(cluster_problem: str | None) -> None:
    """A cluster that answers; the test is skipped, or fails where engines are required, without one."""
    if cluster_problem is not None:
        missing_engine(cluster_problem)


@pytest.fixture(scope="module")
def shared_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """One home for the tests of a module, and so one local server, which ends with them."""
    yield from command_environment(tmp_path_factory.mktemp("home"))


@pytest.fixture
def command(
    shared_environment: Mapping[str, str], tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[CommandLine]:
    """The commands, called from a directory of the test; by themselves, but where the test is marked `standby`."""
    standby = {} if request.node.get_closest_marker("standby") is None else {IDLE_VARIABLE: "300"}
    directory = tmp_path / "work"
    directory.mkdir()
    commands = CommandLine(environment={**shared_environment, **standby}, directory=directory)
    yield commands
    commands.kill_rest()


@pytest.fixture(scope="session")
def _running_store() -> Iterator[ObjectStore]:
    with running_store() as store:
        yield store


@pytest.fixture
def object_store(_running_store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    """An object store with an empty bucket, which this process finds by its environment."""
    with fresh_store(_running_store, monkeypatch) as store:
        yield store


@pytest.fixture(autouse=True)
def _engine_of_marked_tests(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("kubernetes") is not None:
        request.getfixturevalue("cluster")
    if request.node.get_closest_marker("docker") is not None:
        request.getfixturevalue("docker_engine")
