"""What a step's container sees of this machine when no work pool says anything."""

from pathlib import Path

import pytest

from cwl_prefect.backends.base import execute
from cwl_prefect.flows.choose import Backends
from cwl_prefect.model.job import ContainerJob, DockerImage, Mount
from cwl_prefect.model.plan import ProcessClass, ToolPlan
from cwl_prefect.settings import Settings

pytestmark = pytest.mark.docker

TOOL = ToolPlan(
    digest="0",
    name="tool",
    process_class=ProcessClass.COMMAND_LINE_TOOL,
    document={},
    requirements=({"class": "DockerRequirement", "dockerPull": "busybox"},),
    hints=(),
    cwl_version="v1.2",
    inputs=(),
    outputs=(),
)


@pytest.mark.usefixtures("docker_engine")
async def test_a_step_sees_its_own_mounts_only(tmp_path: Path) -> None:
    for name in ("out", "tmp"):
        (tmp_path / name).mkdir()
    backends = Backends(Settings())
    backend = await backends.choose(TOOL, name="tool")
    job = ContainerJob(
        job_id=f"isolation-{tmp_path.name}",
        name="tool",
        image=DockerImage(pull="busybox"),
        command=("grep", "-oE", " /(var|out|tmp|work|home|root|mnt)[^ ]*", "/proc/self/mounts"),
        env={},
        mounts=(
            Mount(source=tmp_path / "out", target="/out", writable=True),
            Mount(source=tmp_path / "tmp", target="/tmp", writable=True),
        ),
        workdir="/out",
        stdin=None,
        stdout=tmp_path / "stdout",
        stderr=tmp_path / "stderr",
    )
    try:
        outcome = await execute(backend, job)
    finally:
        await backends.close()
    assert outcome.exit_code == 0
    assert sorted((tmp_path / "stdout").read_text().split()) == ["/out", "/tmp"]
