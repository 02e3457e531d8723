"""Which template steps use, and what comes of it."""

import pytest

from cwl_prefect.backends.docker import DockerBackend
from cwl_prefect.flows.choose import _docker
from cwl_prefect.flows.pool import StepsPool, steps_pool
from cwl_prefect.settings import Settings


def pool(pool_type: str) -> StepsPool:
    return StepsPool(name="p", type=pool_type, base_job_template={"of": "the pool"}, variables={"networks": ["a"]})


async def test_outside_of_a_flow_run_there_is_none() -> None:
    assert await steps_pool(Settings(steps_pool="p")) is None


def test_a_docker_pool_gives_its_template_and_variables() -> None:
    backend = _docker(Settings(), pool("docker"))
    assert isinstance(backend, DockerBackend)
    assert (backend._template, backend._variables) == ({"of": "the pool"}, {"networks": ["a"]})


@pytest.mark.parametrize("found", [None, pool("process")], ids=["none", "process"])
def test_elsewhere_containers_have_the_packaged_template(found: StepsPool | None) -> None:
    backend = _docker(Settings(), found)
    assert isinstance(backend, DockerBackend)
    assert backend._template is None
