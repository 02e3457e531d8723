"""One site for all tests of deployments: a server takes seconds to start."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.commands import command_environment
from tests.conftest import missing_engine
from tests.deployments import image
from tests.deployments.browser import opened_browser
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


@pytest.fixture(scope="package")
def built_image(docker_engine_problem: str | None, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of the image of cwl-prefect."""
    if docker_engine_problem is not None:
        missing_engine(docker_engine_problem)
    return image.build(tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser that the tests of a module share."""
    with opened_browser() as opened:
        yield opened


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of its own."""
    opened = browser.new_page(viewport={"width": 1400, "height": 3000})
    opened.set_default_timeout(30_000)
    expect.set_options(timeout=30_000)  # the same for what a page shows
    yield opened
    opened.close()
