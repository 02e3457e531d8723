"""What a step's container sees of this machine when no work pool says anything."""

from pathlib import Path

import pytest

from cwl_prefect.backends.base import execute
from cwl_prefect.flows.choose import Backends
from cwl_prefect.settings import Settings
from tests.calls import job, own_directories
from tests.plans import tool

pytestmark = pytest.mark.docker

TOOL = tool(requirements=({"class": "DockerRequirement", "dockerPull": "busybox"},))


@pytest.mark.usefixtures("docker_engine")
async def test_a_step_sees_its_own_mounts_only(tmp_path: Path) -> None:
    backends = Backends(Settings())
    backend = await backends.choose(TOOL, name="tool")
    looking = job(
        tmp_path,
        job_id=f"isolation-{tmp_path.name}",
        command=("grep", "-oE", " /(var|out|tmp|work|home|root|mnt)[^ ]*", "/proc/self/mounts"),
        **own_directories(tmp_path),
    )
    try:
        outcome = await execute(backend, looking)
    finally:
        await backends.close()
    assert outcome.exit_code == 0
    assert sorted(looking.stdout.read_text().split()) == ["/out", "/tmp"]
