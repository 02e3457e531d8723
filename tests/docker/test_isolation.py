"""What a step's container sees of this machine when no work pool says anything."""

from pathlib import Path

import pytest

from cwl_prefect.backends.base import execute
from cwl_prefect.flows.execution.backends import Backends
from cwl_prefect.model.job import DockerImage
from cwl_prefect.settings import Settings
from tests.calls import job, own_directories
from tests.plans import tool

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("docker_engine")]

TOOL = tool(requirements=({"class": "DockerRequirement", "dockerPull": "busybox"},))


PRIVILEGES = "Cap(Eff|Prm|Bnd|Amb)|NoNewPrivs|Seccomp"
"""Lines of ``/proc/self/status`` that tell what a process may do."""


async def shown(tmp_path: Path, *command: str) -> str:
    """What a command prints in the container of a step."""
    backends = Backends(Settings())
    looking = job(
        tmp_path,
        job_id=f"isolation-{tmp_path.name}",
        image=DockerImage(pull="busybox:1.35"),
        command=command,
        **own_directories(tmp_path),
    )
    try:
        outcome = await execute(await backends.choose(TOOL, name="tool"), looking)
    finally:
        await backends.close()
    assert outcome.exit_code == 0
    return looking.stdout.read_text()


async def test_a_step_sees_its_own_mounts_only(tmp_path: Path) -> None:
    mounts = await shown(tmp_path, "grep", "-oE", " /(var|out|tmp|work|home|root|mnt)[^ ]*", "/proc/self/mounts")
    assert sorted(mounts.split()) == ["/out", "/tmp"]


async def test_a_step_has_no_rights_of_root(tmp_path: Path) -> None:
    status = await shown(tmp_path, "grep", "-E", f"^({PRIVILEGES}):", "/proc/self/status")
    rights = dict(line.replace(" ", "").split(":\t") for line in status.splitlines())
    assert rights == {
        "CapPrm": "0" * 16,
        "CapEff": "0" * 16,
        "CapBnd": "0" * 16,
        "CapAmb": "0" * 16,
        "NoNewPrivs": "1",
        "Seccomp": "2",
    }


async def test_a_step_cannot_start_processes_without_end(tmp_path: Path) -> None:
    assert await shown(tmp_path, "sh", "-c", "cat /sys/fs/cgroup/pids.max || cat /sys/fs/cgroup/pids/pids.max") == (
        "4096\n"
    )
