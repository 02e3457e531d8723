"""What all tests share: which engines they need, and what happens where there is none."""

import os

import pytest
from hypothesis import HealthCheck, settings

# Commands of tests leave nothing behind; what stands by for the next command has tests of its own.
os.environ["CWL_PREFECT_STANDBY_IDLE_S"] = "0"

# A busy machine makes examples slow; what a test is about it says by its assertions. Each run tries other examples:
# many runs try many. `--hypothesis-profile default` tries more at once.
settings.register_profile("cwl-prefect", deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("cwl-prefect")

pytest.register_assert_rewrite("tests.contract.backend_contract")

REQUIRE_ENGINES = "CWL_PREFECT_REQUIRE_ENGINES"


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


@pytest.fixture(autouse=True)
def _engine_of_marked_tests(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("kubernetes") is not None:
        request.getfixturevalue("cluster")
    if request.node.get_closest_marker("docker") is not None:
        request.getfixturevalue("docker_engine")
