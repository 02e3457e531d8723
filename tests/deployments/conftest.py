"""One site for all tests of deployments: a server takes seconds to start."""

from collections.abc import Iterator

import pytest

from tests.commands import command_environment
from tests.deployments.site import Site


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server with a process pool `here` and a worker of it."""
    directory = tmp_path_factory.mktemp("site")
    for environment in command_environment(directory):
        made = Site(environment, directory)
        made.run("cwl-prefect", "pool", "create", "here", "--type", "process")
        with made.worker("here"):
            yield made
