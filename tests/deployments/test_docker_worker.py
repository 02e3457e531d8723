"""A flow run in a container that a real Docker worker started, with its steps in containers beside it."""

import json
from collections.abc import Iterator

import pytest

from tests.deployments.documents import upper_and_count
from tests.deployments.site import ENDED, Site, containers

pytestmark = [pytest.mark.server, pytest.mark.docker]

WORKFLOW = upper_and_count("{DockerRequirement: {dockerPull: busybox}}")
SLEEPER = """\
cwlVersion: v1.2
class: CommandLineTool
requirements: {DockerRequirement: {dockerPull: busybox}}
inputs: {seconds: int}
baseCommand: [sleep]
arguments: [$(inputs.seconds)]
outputs: {}
"""


@pytest.fixture(scope="module")
def options(site: Site, built_image: str) -> Iterator[tuple[str, ...]]:
    """Options of `deploy` for a pool of containers that see the site's directory where the host has it."""
    site.run("cwl-prefect", "pool", "create", "in-docker", "--type", "docker")
    volumes = ["/var/run/docker.sock:/var/run/docker.sock", f"{site.directory}:{site.directory}"]
    home = {"CWL_PREFECT_HOME": str(site.directory / "cwl-prefect")}
    with site.worker("in-docker"):
        yield (
            *("--image", built_image, "--job-variable", f"volumes={json.dumps(volumes)}"),
            *("--job-variable", f"env={json.dumps(home)}"),
        )


def test_the_driver_and_its_steps_run_in_containers_side_by_side(site: Site, options: tuple[str, ...]) -> None:
    (site.directory / "letters.txt").write_text("twelve chars")
    deployment = site.deploy(WORKFLOW, *options, pool="in-docker")

    run = site.start(deployment, text=str(site.directory / "letters.txt")).json()["id"]

    assert site.until(run, *ENDED) == "COMPLETED", site.log_of(run)
    assert site.outputs(run)["letters"] == len("twelve chars")
    assert len(site.outputs(run)["where"]) == 12  # a container's own name
    assert containers(f"cwl-prefect.io/flow-run-id={run}") == []
    site.wait_for(lambda: not containers(f"io.prefect.flow-run-id={run}"))


def test_cancelling_a_run_in_a_container_removes_its_steps(site: Site, options: tuple[str, ...]) -> None:
    run = site.start(site.deploy(SLEEPER, "--name", "sleeper", *options, pool="in-docker"), seconds=300).json()["id"]
    label = f"cwl-prefect.io/flow-run-id={run}"
    site.wait_for(lambda: containers(label))

    site.run("prefect", "flow-run", "cancel", run)

    assert site.until(run, *ENDED) == "CANCELLED"
    site.wait_for(lambda: not containers(label))
