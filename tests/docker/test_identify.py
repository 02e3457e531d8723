"""What a container runs in counts for the call cache: the image behind a name, not the name."""

from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import docker
import pytest

from cwl_prefect.backends.docker.backend import DockerBackend
from cwl_prefect.backends.job_template.job_variables import JobVariables, Layer, Origin, packaged_template
from cwl_prefect.errors import ImageError
from cwl_prefect.model.job import DockerImage

pytestmark = pytest.mark.docker


@pytest.fixture
async def backend() -> AsyncIterator[DockerBackend]:
    found = DockerBackend()
    yield found
    await found.close()


@pytest.fixture
def moving() -> Iterator[str]:
    """A tag that points to one image, until a test lets it point to another."""
    name = f"cwl-prefect-test/moving:{uuid4().hex[:8]}"
    client = docker.from_env()
    client.images.get("busybox").tag(name)
    yield name
    client.images.remove(name, noprune=True)
    client.close()


async def identity(image: DockerImage, variables: JobVariables | None = None) -> str | None:
    """Ask as a new run does."""
    backend = DockerBackend(variables)
    try:
        return await backend.identify(image, step="align")
    finally:
        await backend.close()


async def test_a_tag_is_resolved_to_what_it_points_to(moving: str):
    before = await identity(DockerImage(pull=moving))
    assert before == await identity(DockerImage(pull="busybox"))
    assert (before or "").startswith("sha256:")
    client = docker.from_env()
    client.images.get("debian:stable-slim").tag(moving)
    client.close()
    assert await identity(DockerImage(pull=moving)) != before


async def test_the_environment_of_the_platform_counts():
    variables = JobVariables(
        template=packaged_template("docker"),
        layers=(Layer(origin=Origin.RUN, variables={"cwl": {"env": {"LEVEL": "high"}}}),),
    )
    plain = await identity(DockerImage(pull="busybox"))
    with_environment = await identity(DockerImage(pull="busybox"), variables)
    assert with_environment != plain
    assert "high" not in (with_environment or "")


async def test_an_image_that_cannot_be_had_is_told(backend: DockerBackend):
    with pytest.raises(ImageError):
        await backend.identify(DockerImage(load="/no/such/archive.tar"), step="align")


async def test_a_process_is_not_its_business(backend: DockerBackend):
    assert await backend.identify(None, step="align") is None
