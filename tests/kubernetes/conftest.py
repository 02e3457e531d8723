"""What the tests on a real cluster share."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from cwl_prefect.backends.job_template.job_variables import JobVariables
from cwl_prefect.backends.kubernetes.api.client import KubernetesApi, connect
from cwl_prefect.backends.kubernetes.backend import KubernetesBackend
from cwl_prefect.settings import Settings
from tests.commandline.driving import CommandLine
from tests.commands import command_environment
from tests.kubernetes.cluster import HELPER_IMAGE, VARIABLES, cluster_settings


@pytest.fixture
async def api(cluster: None) -> AsyncIterator[KubernetesApi]:
    """A client for looking at the cluster."""
    api = await connect()
    yield api
    await api.close()


@pytest.fixture(scope="session")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of the node that is also one of this machine."""
    return tmp_path_factory.getbasetemp().resolve()


@pytest.fixture
def settings(volume: Path) -> Settings:
    """Settings with that directory as the shared volume."""
    return cluster_settings(volume)


@pytest.fixture
async def backend(cluster: None, settings: Settings) -> AsyncIterator[KubernetesBackend]:
    """A backend on the cluster."""
    backend = KubernetesBackend(settings, VARIABLES)
    yield backend
    await backend.close()


@pytest.fixture
async def following(cluster: None, settings: Settings) -> AsyncIterator[KubernetesBackend]:
    """What the next driver works with, after the backend's was killed."""
    backend = KubernetesBackend(settings, VARIABLES)
    yield backend
    await backend.close()


@pytest.fixture
async def other_backend(cluster: None, volume: Path) -> AsyncIterator[Callable[..., KubernetesBackend]]:
    """Gives backends with other settings or variables."""
    made: list[KubernetesBackend] = []

    def make(given: JobVariables = VARIABLES, **changed: object) -> KubernetesBackend:
        made.append(KubernetesBackend(cluster_settings(volume, **changed), given))
        return made[-1]

    yield make
    for backend in made:
        await backend.close()


@pytest.fixture
def command(tmp_path: Path) -> Iterator[CommandLine]:
    """The command line in a home of its own, with its directory as the shared volume."""
    for environment in command_environment(tmp_path / "home"):
        chosen = {
            **environment,
            "CWL_PREFECT_WORKDIR": str(tmp_path / "runs"),
            "CWL_PREFECT_KUBERNETES_VOLUME": f"hostPath:{tmp_path}",
            "CWL_PREFECT_KUBERNETES_HELPER_IMAGE": HELPER_IMAGE,
        }
        commands = CommandLine(environment=chosen, directory=tmp_path)
        yield commands
        commands.kill_rest()
