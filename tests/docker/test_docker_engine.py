"""The Docker backend on a real engine: limits, mounts, images, and nothing left behind."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import docker
import pytest

from cwl_prefect.backends.base import execute
from cwl_prefect.backends.docker.backend import DockerBackend
from cwl_prefect.backends.docker.engine import engine_answers
from cwl_prefect.backends.naming import FLOW_RUN_LABEL, resource_name
from cwl_prefect.errors import BackendError, ImageError
from cwl_prefect.model.job import ContainerJob, DockerImage, Mount, Reason, Resources
from tests.contract.backend_contract import BackendCase, JobMaker
from tests.waiting import eventually

pytestmark = pytest.mark.docker

Sh = Callable[..., ContainerJob]


def containers_of(client: docker.DockerClient, job: ContainerJob) -> list[str]:
    label = f"{FLOW_RUN_LABEL}={job.labels['flow-run-id']}"
    return [found["Id"] for found in client.api.containers(all=True, filters={"label": label})]


class DockerCase(BackendCase):
    @pytest.fixture
    def client(self, docker_engine: None) -> Iterator[docker.DockerClient]:
        client = docker.from_env()
        yield client
        client.close()

    @pytest.fixture
    async def backend(self, docker_engine: None) -> AsyncIterator[DockerBackend]:
        backend = DockerBackend()
        yield backend
        await backend.close()

    @pytest.fixture
    def sh(self, make_job: JobMaker) -> Sh:
        return lambda script, **more: make_job(("sh", "-c", script), **more)


class TestIsolation(DockerCase):
    async def test_the_root_is_read_only_and_the_workspace_is_not(self, backend: DockerBackend, sh: Sh) -> None:
        job = sh("touch /rooted 2>/dev/null || touch /workdir/here /tmp/there && ls /rooted")
        outcome = await execute(backend, job)
        assert outcome.exit_code == 1
        assert b"/rooted" in job.stderr.read_bytes()

    async def test_the_user_is_the_caller(self, backend: DockerBackend, sh: Sh) -> None:
        job = sh("id -u; id -g")
        await execute(backend, job)
        assert job.stdout.read_text().split() == [str(os.geteuid()), str(os.getegid())]

    async def test_another_user_can_be_asked_for(self, backend: DockerBackend, sh: Sh) -> None:
        job = replace(sh("id -u; id -g"), user="1234:5678")
        await execute(backend, job)
        assert job.stdout.read_text().split() == ["1234", "5678"]

    @pytest.mark.parametrize(("network", "interfaces"), [(False, 1), (True, 2)], ids=["closed", "asked-for"])
    async def test_there_is_a_network_only_where_it_is_asked_for(
        self, backend: DockerBackend, sh: Sh, network: bool, interfaces: int
    ) -> None:
        job = replace(sh("ls /sys/class/net"), network=network)
        await execute(backend, job)
        assert len(job.stdout.read_text().split()) == interfaces

    async def test_a_proxy_of_the_user_s_docker_configuration_is_not_seen(
        self, sh: Sh, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "config.json").write_text('{"proxies": {"default": {"httpProxy": "http://me:secret@proxy"}}}')
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        backend = DockerBackend()
        job = sh("env")
        await execute(backend, job)
        await backend.close()
        assert "secret" not in job.stdout.read_text()


class TestLimits(DockerCase):
    async def test_too_much_memory_is_named(self, sh: Sh) -> None:
        backend = DockerBackend(strict_limits=True)
        hungry = "sleep 1; x=0123456789; while :; do x=$x$x$x$x; done"  # what dies at once, an engine may not notice
        outcome = await execute(backend, replace(sh(hungry, timeout_s=60), resources=Resources(ram_mib=16)))
        await backend.close()
        assert (outcome.reason, outcome.exit_code) == (Reason.OUT_OF_MEMORY, 137)

    async def test_memory_is_not_limited_by_default(self, backend: DockerBackend, sh: Sh) -> None:
        filler = "dd if=/dev/zero of=/dev/null bs=64M count=1"
        outcome = await execute(backend, replace(sh(filler), resources=Resources(ram_mib=16)))
        assert outcome.exit_code == 0

    async def test_limits_are_the_ones_asked_for(self, sh: Sh, client: docker.DockerClient) -> None:
        backend = DockerBackend(strict_limits=True)
        job = replace(sh("sleep 60"), resources=Resources(cores=0.5, ram_mib=64, shm_mib=32))
        handle = await backend.start(job)
        host = client.api.inspect_container(handle.reference)["HostConfig"]
        await backend.close()
        assert (host["NanoCpus"], host["Memory"], host["ShmSize"]) == (500_000_000, 64 << 20, 32 << 20)

    async def test_shared_memory_has_the_size_asked_for(self, backend: DockerBackend, sh: Sh) -> None:
        job = replace(sh("df -k /dev/shm | tail -1"), resources=Resources(shm_mib=100))
        await execute(backend, job)
        assert job.stdout.read_text().split()[1] == str(100 * 1024)

    async def test_a_gpu_without_its_driver_is_an_error_with_a_hint(
        self, backend: DockerBackend, sh: Sh, client: docker.DockerClient
    ) -> None:
        if "nvidia" in client.info().get("Runtimes", {}):
            pytest.skip("this engine has GPUs")
        job = replace(sh("true"), resources=Resources(gpus=1))
        with pytest.raises(BackendError, match="container toolkit"):
            await backend.start(job)
        assert client.containers.list(all=True, filters={"name": resource_name(job.job_id)}) == []


class TestMounts(DockerCase):
    @pytest.mark.parametrize(
        "name", ["with space", "a:b", "a,b=c", "#%&'\"", "naïve-名", "new\nline", "-dash", "back\\slash"]
    )
    async def test_any_name_can_be_mounted(
        self, backend: DockerBackend, make_job: JobMaker, tmp_path: Path, name: str
    ) -> None:
        source = tmp_path / name
        source.write_text("data")
        job = make_job(("cat", f"/inputs/{name}"))
        job = replace(job, mounts=(*job.mounts, Mount(source=source, target=f"/inputs/{name}")))
        outcome = await execute(backend, job)
        assert (outcome.exit_code, job.stdout.read_text(), outcome.message) == (0, "data", None)

    async def test_two_files_of_one_name_and_paths_inside_each_other(
        self, backend: DockerBackend, sh: Sh, tmp_path: Path
    ) -> None:
        for part in ("a", "b", "tree/inner"):
            (tmp_path / part).mkdir(parents=True)
            (tmp_path / part / "same.txt").write_text(part)
        job = sh("cat /in/1/same.txt /in/2/same.txt /workdir/tree/inner/same.txt /workdir/same.txt")
        more = (
            Mount(source=tmp_path / "a/same.txt", target="/in/1/same.txt"),
            Mount(source=tmp_path / "b/same.txt", target="/in/2/same.txt"),
            Mount(source=tmp_path / "tree", target="/workdir/tree"),
            Mount(source=tmp_path / "b/same.txt", target="/workdir/same.txt"),
        )
        outcome = await execute(backend, replace(job, mounts=(*reversed(more), *job.mounts)))
        assert (outcome.exit_code, job.stdout.read_text()) == (0, "abtree/innerb")

    async def test_inputs_cannot_be_written(self, backend: DockerBackend, sh: Sh, tmp_path: Path) -> None:
        (tmp_path / "in").write_text("data")
        job = sh("echo no > /in")
        outcome = await execute(
            backend, replace(job, mounts=(*job.mounts, Mount(source=tmp_path / "in", target="/in")))
        )
        assert outcome.exit_code != 0
        assert (tmp_path / "in").read_text() == "data"

    async def test_a_missing_source_is_an_error_with_a_hint(
        self, backend: DockerBackend, sh: Sh, tmp_path: Path
    ) -> None:
        job = sh("true")
        with pytest.raises(BackendError, match="same path"):
            await backend.start(replace(job, mounts=(Mount(source=tmp_path / "nothing", target="/in"),)))


class TestStreams(DockerCase):
    async def test_a_flood_on_both_streams_is_complete(self, backend: DockerBackend, sh: Sh) -> None:
        size = 8 << 20
        job = sh(f"head -c {size} /dev/urandom & head -c {size} /dev/zero >&2; wait")
        await execute(backend, job)
        assert (job.stdout.stat().st_size, job.stderr.stat().st_size) == (size, size)

    async def test_a_long_silence_ends_no_stream(self, backend: DockerBackend, sh: Sh) -> None:
        job = sh("echo before; sleep 3; echo after")
        await execute(backend, job)
        assert job.stdout.read_text() == "before\nafter\n"

    async def test_input_that_is_not_read_does_no_harm(self, backend: DockerBackend, sh: Sh, tmp_path: Path) -> None:
        (tmp_path / "big").write_bytes(bytes(64 << 20))
        job = sh("head -c 3 >/dev/null; echo done", stdin=tmp_path / "big")
        assert (await execute(backend, job)).exit_code == 0
        assert job.stdout.read_text() == "done\n"

    async def test_output_of_a_program_that_closes_its_streams_early(self, backend: DockerBackend, sh: Sh) -> None:
        job = sh("echo hi; exec >&- 2>&-; sleep 1; exit 3")
        outcome = await execute(backend, job)
        assert (outcome.exit_code, job.stdout.read_text()) == (3, "hi\n")


class TestImages(DockerCase):
    @pytest.fixture
    def forget(self, client: docker.DockerClient) -> Iterator[Callable[[str], str]]:
        names: list[str] = []

        def remember(name: str) -> str:
            names.append(name)
            return name

        yield remember
        for name in names:
            client.images.remove(name, force=True)

    async def test_the_entry_point_of_an_image_is_kept(
        self, backend: DockerBackend, make_job: JobMaker, forget: Callable[[str], str]
    ) -> None:
        name = forget("cwl-prefect-test/entry:1")
        built = DockerImage(file='FROM busybox:1.35\nENTRYPOINT ["echo", "entry"]\n', image_id=name)
        job = replace(make_job(("point",)), image=built)
        await execute(backend, job)
        assert job.stdout.read_text() == "entry point\n"

    async def test_a_dockerfile_that_fails_is_an_error(self, backend: DockerBackend, sh: Sh) -> None:
        job = replace(sh("true"), image=DockerImage(file="FROM busybox:1.35\nRUN false\n"))
        with pytest.raises(ImageError, match="cannot build"):
            await backend.start(job)

    async def test_an_archive_is_loaded(
        self, backend: DockerBackend, sh: Sh, client: docker.DockerClient, tmp_path: Path, forget: Callable[[str], str]
    ) -> None:
        client.images.get("busybox:1.35").tag("cwl-prefect-test/saved", "1")
        archive = tmp_path / "image.tar"
        archive.write_bytes(
            b"".join(client.images.get("cwl-prefect-test/saved:1").save(named="cwl-prefect-test/saved:1"))
        )
        client.images.remove("cwl-prefect-test/saved:1")
        job = replace(sh("echo loaded"), image=DockerImage(load=str(archive)))
        await execute(backend, job)
        forget("cwl-prefect-test/saved:1")
        assert job.stdout.read_text() == "loaded\n"

    async def test_a_file_tree_is_imported(
        self, backend: DockerBackend, sh: Sh, client: docker.DockerClient, tmp_path: Path, forget: Callable[[str], str]
    ) -> None:
        container = client.containers.create("busybox:1.35")
        archive = tmp_path / "tree.tar"
        archive.write_bytes(b"".join(container.export()))
        container.remove()
        name = forget("cwl-prefect-test/imported:1")
        job = replace(sh("echo imported"), image=DockerImage(import_=str(archive), image_id=name))
        await execute(backend, job)
        assert job.stdout.read_text() == "imported\n"

    async def test_an_image_that_does_not_exist_is_an_error_with_a_hint(self, backend: DockerBackend, sh: Sh) -> None:
        job = replace(sh("true"), image=DockerImage(pull="localhost:1/cwl-prefect-test/nothing:1"))
        with pytest.raises(ImageError, match="cannot pull image localhost:1/cwl-prefect-test/nothing:1") as caught:
            await backend.start(job)
        assert caught.value.hint is not None

    async def test_a_file_that_is_no_image_is_an_error(self, backend: DockerBackend, sh: Sh, tmp_path: Path) -> None:
        (tmp_path / "image.tar").write_text("not a tar")
        with pytest.raises(ImageError):
            await backend.start(replace(sh("true"), image=DockerImage(load=str(tmp_path / "image.tar"))))


class TestNothingLeft(DockerCase):
    async def test_fifty_containers_four_at_a_time(
        self, backend: DockerBackend, sh: Sh, client: docker.DockerClient
    ) -> None:
        turn = asyncio.Semaphore(4)

        async def run(number: int) -> int | None:
            async with turn:
                return (await execute(backend, sh(f"exit {number}", suffix=f"-{number}"))).exit_code

        assert await asyncio.gather(*map(run, range(50))) == list(range(50))
        assert containers_of(client, sh("")) == []

    async def test_a_crowd_is_cancelled_within_seconds(
        self, backend: DockerBackend, sh: Sh, client: docker.DockerClient
    ) -> None:
        jobs = [sh("sleep 300", suffix=f"-{number}") for number in range(8)]
        running = [asyncio.create_task(execute(backend, job)) for job in jobs]
        await eventually(lambda: len(containers_of(client, jobs[0])) >= 3)
        for task in running:
            task.cancel()
        _, unfinished = await asyncio.wait(running, timeout=15)
        assert not unfinished
        assert all(task.cancelled() for task in running)
        assert containers_of(client, jobs[0]) == []

    async def test_containers_of_a_dead_driver_are_reaped(
        self, backend: DockerBackend, sh: Sh, client: docker.DockerClient
    ) -> None:
        dead = DockerBackend()
        job = sh("sleep 300")
        await dead.start(job)
        assert await backend.reap({FLOW_RUN_LABEL: job.labels["flow-run-id"]}) == 1
        assert containers_of(client, job) == []
        await dead.close()

    async def test_a_job_started_again_replaces_what_a_dead_driver_left(self, backend: DockerBackend, sh: Sh) -> None:
        dead = DockerBackend()
        await dead.start(sh("sleep 300"))
        assert (await execute(backend, sh("exit 5"))).exit_code == 5
        await dead.close()

    async def test_a_container_removed_by_somebody_else_does_not_end_well(
        self, backend: DockerBackend, sh: Sh, client: docker.DockerClient
    ) -> None:
        handle = await backend.start(sh("sleep 300"))
        client.containers.get(handle.reference).remove(force=True)
        outcome = await backend.wait(handle)
        assert outcome.reason in (Reason.LOST, Reason.SIGNALED)  # whichever the engine tells first
        await backend.delete(handle)


async def test_the_engine_is_found(docker_engine: None) -> None:
    assert await engine_answers()
