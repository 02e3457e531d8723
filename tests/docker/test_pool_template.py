"""What a Docker pool's template gives to the containers of steps, as the engine sees them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import docker
import pytest

from cwl_prefect.backends.docker.backend import DockerBackend
from cwl_prefect.backends.docker.checks import docker_findings
from cwl_prefect.backends.job_template.job_variables import JobVariables, Layer, Origin, packaged_template
from cwl_prefect.model.findings import Severity
from cwl_prefect.model.job import ContainerJob
from tests import calls

pytestmark = pytest.mark.docker


def prefect_s_own() -> dict[str, Any]:
    from prefect_docker.worker import DockerWorker

    return DockerWorker.get_default_base_job_template()


def with_defaults(template: dict[str, Any], **defaults: Any) -> dict[str, Any]:
    for name, value in defaults.items():
        template["variables"]["properties"].setdefault(name, {})["default"] = value
    return template


@pytest.fixture
def client(docker_engine: None) -> Iterator[docker.DockerClient]:
    client = docker.from_env()
    yield client
    client.close()


@pytest.fixture
def network(client: docker.DockerClient) -> Iterator[str]:
    made = client.networks.create(f"cwl-prefect-test-{uuid4().hex[:8]}")
    yield made.name
    made.remove()


@pytest.fixture
def job(tmp_path: Path) -> ContainerJob:
    return calls.job(
        tmp_path,
        job_id=uuid4().hex,
        name="prepare[1].align[2]",
        command=("sleep", "60"),
        env={"HOME": "/"},
        network=True,
    )


class TestTemplate:
    async def inspected(
        self, client: docker.DockerClient, job: ContainerJob, template: dict[str, Any], *layers: Layer
    ) -> dict[str, Any]:
        backend = DockerBackend(JobVariables(template=template, layers=layers))
        try:
            handle = await backend.start(job)
            return client.api.inspect_container(handle.reference)
        finally:
            await backend.close()

    @pytest.mark.parametrize(
        "template", [packaged_template("docker"), prefect_s_own()], ids=["packaged", "prefect-s-own"]
    )
    async def test_what_the_platform_decides_is_kept(
        self, client: docker.DockerClient, job: ContainerJob, template: dict[str, Any], network: str, tmp_path: Path
    ) -> None:
        licences = tmp_path / "licences"
        licences.mkdir()
        platform = with_defaults(
            template,
            networks=[network],
            volumes=[f"{licences}:/opt/licences:ro", "/var/run/docker.sock:/var/run/docker.sock"],
            env={"HTTP_PROXY": "http://proxy", "PREFECT_API_KEY": "pnu_secret", "SITE_TOKEN": "secret"},
            labels={"team": "a", "prefect.io/flow-run-id": "x"},
            privileged=True,
            container_create_kwargs={
                "user": "1234:5678",
                "hostname": "from-the-pool",
                "extra_hosts": {"db": "10.0.0.1"},
                "ulimits": [{"Name": "nofile", "Soft": 512, "Hard": 512}],
            },
        )

        found = await self.inspected(client, job, platform)

        config, host = found["Config"], found["HostConfig"]
        assert list(found["NetworkSettings"]["Networks"]) == [network]
        assert f"{licences}:/opt/licences:ro" in host["Binds"]
        assert "docker.sock" not in str(found["Mounts"])
        assert "HTTP_PROXY=http://proxy" in config["Env"]
        assert "secret" not in str(config["Env"])
        assert config["Labels"]["team"] == "a"
        assert "prefect.io/flow-run-id" not in config["Labels"]
        assert (host["Privileged"], config["User"], config["Hostname"]) == (True, "1234:5678", "from-the-pool")
        assert host["ExtraHosts"] == ["db:10.0.0.1"]
        assert host["Ulimits"] == [{"Name": "nofile", "Soft": 512, "Hard": 512}]
        assert config["Cmd"] == ["sleep", "60"]
        assert config["Image"] == client.images.get("busybox:1.35").id

    async def test_overrides_are_those_of_the_step(self, client: docker.DockerClient, job: ContainerJob) -> None:
        steps = {"prepare.align": {"mem_limit": "64m"}, "sort": {"mem_limit": "32m"}, "*": {"labels": {"team": "a"}}}
        run = Layer(origin=Origin.RUN, variables={"mem_limit": "8m", "cwl": {"env": {"SITE": "north"}, "steps": steps}})

        found = await self.inspected(client, job, packaged_template("docker"), run)

        assert (found["HostConfig"]["Memory"], found["Config"]["Labels"]["team"]) == (64 << 20, "a")
        assert "SITE=north" in found["Config"]["Env"]

    @pytest.mark.parametrize("inside", ["same", "other"])
    async def test_the_work_directory_of_a_driver_in_a_container_is_checked(
        self, client: docker.DockerClient, job: ContainerJob, tmp_path: Path, inside: str
    ) -> None:
        workdir = tmp_path if inside == "same" else Path("/elsewhere")
        template = with_defaults(packaged_template("docker"), volumes=[f"{tmp_path}:{workdir}"])
        backend = DockerBackend(JobVariables(template=template))
        mounts = tmp_path / "mountinfo"
        try:
            handle = await backend.start(job)
            mounts.write_text(f"1 2 8:1 /d/containers/{handle.reference}/hosts /etc/hosts rw - ext4 /dev/sda rw\n")
            *_, place = await docker_findings(workdir / "runs", needed=True, mounts=mounts)
        finally:
            await backend.close()

        assert place.severity is (Severity.OK if inside == "same" else Severity.ERROR), place
        assert inside == "same" or str(tmp_path / "runs") in place.message
