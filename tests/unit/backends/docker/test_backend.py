"""The Docker backend on an engine that runs functions: the contract, and what happens when engines refuse."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cwl_prefect.backends.base import Backend, execute, finish
from cwl_prefect.backends.docker import adoption, containers
from cwl_prefect.backends.docker import engine as docker_engine
from cwl_prefect.backends.docker.backend import DockerBackend
from cwl_prefect.backends.job_template.job_variables import JobVariables, Layer, Origin, packaged_template
from cwl_prefect.backends.naming import FLOW_RUN_LABEL
from cwl_prefect.errors import BackendError, ImageError
from cwl_prefect.model.job import ContainerJob, DockerImage, Reason
from tests.contract import backend_contract as commands
from tests.contract.backend_contract import AdoptionContract, BackendCase, JobMaker
from tests.unit.backends.stub_engine import StubContainer, StubEngine
from tests.waiting import eventually

OCI = "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: "


def variables(run: dict[str, Any]) -> JobVariables:
    return JobVariables(template=packaged_template("docker"), layers=(Layer(origin=Origin.RUN, variables=run),))


def sleep(container: StubContainer) -> int:
    container.write(b"started\n")
    container.killed.wait(30)
    return 137


def write_streams(container: StubContainer) -> int:
    container.write(b"out")
    container.write(b"err", stream=2)
    return 0


def write_slowly(container: StubContainer) -> int:
    container.write(b"begun\n")
    container.killed.wait(0.3)
    container.write(b"ended")
    container.write(b"err", stream=2)
    return 3


def write_file(container: StubContainer) -> int:
    directory = container.config["WorkingDir"]
    (container.mounts[directory] / "where").write_text(directory)
    (container.mounts[directory] / "made").write_text("data\n")
    return 0


def copy_stdin(container: StubContainer) -> int:
    container.write(container.read())
    return 0


def write_environment(container: StubContainer) -> int:
    container.write("\n".join(container.config["Env"]).encode())
    return 0


PLAYS: dict[tuple[str, ...], Callable[[StubContainer], int]] = {
    commands.ECHO_STDIN: copy_stdin,
    commands.ENVIRONMENT: write_environment,
    commands.EXIT_7: lambda _: 7,
    commands.KILLED: lambda _: 137,
    commands.SILENT: lambda _: 0,
    commands.SLEEP: sleep,
    commands.SLEEPING_CHILDREN: sleep,
    commands.SLOW_STREAMS: write_slowly,
    commands.TWO_STREAMS: write_streams,
    commands.WRITE_FILE: write_file,
}


@pytest.fixture
async def docker(engine: StubEngine) -> AsyncIterator[DockerBackend]:
    backend = DockerBackend()
    yield backend
    engine.refusals.clear()
    await backend.close()


@pytest.fixture
def engine(engine: StubEngine) -> StubEngine:
    engine.images.add("busybox:1.35")
    engine.play = lambda container: PLAYS[container.command](container)
    return engine


class TestContract(AdoptionContract):
    time_limit_s = 0.1

    @pytest.fixture
    def backend(self, docker: DockerBackend, engine: StubEngine) -> DockerBackend:
        self.engine = engine
        return docker

    @pytest.fixture(autouse=True)
    def _refusals(self, engine: StubEngine, request: pytest.FixtureRequest) -> None:
        words = {
            "by-name": f'{OCI}exec: "no-such-command": executable file not found in $PATH: unknown',
            "by-path": f'{OCI}exec: "/no/such/command": stat /no/such/command: no such file or directory: unknown',
            "executed": f'{OCI}exec: "./plain-file": permission denied: unknown',
        }
        for part, message in words.items():
            if part in request.node.name:
                engine.refuse(r"/start$", 400, message)

    async def successor(self, backend: DockerBackend) -> DockerBackend:
        for running in backend._running.values():
            running.ended.cancel()
        return DockerBackend()

    async def assert_nothing_left(self, job: ContainerJob) -> None:
        assert not self.engine.containers


class DockerCase(BackendCase):
    @pytest.fixture
    def backend(self, docker: DockerBackend) -> Backend:
        return docker


class TestContainers(DockerCase):
    async def test_a_job_without_an_image_is_refused(self, docker: DockerBackend, make_job: JobMaker) -> None:
        with pytest.raises(BackendError, match="names no image"):
            await docker.start(replace(make_job(commands.SILENT), image=None))

    async def test_what_the_engine_is_asked_for(
        self, docker: DockerBackend, engine: StubEngine, make_job: JobMaker
    ) -> None:
        await execute(docker, make_job(commands.SILENT))
        (body,) = engine.bodies
        host = body["HostConfig"]
        assert (host["NetworkMode"], host["ReadonlyRootfs"], host["LogConfig"]["Type"]) == ("none", True, "local")
        assert [mount["Target"] for mount in host["Mounts"]] == ["/tmp", "/workdir"]
        assert "Entrypoint" not in body
        assert body["Labels"][FLOW_RUN_LABEL]

    async def test_in_a_rootless_engine_root_is_the_caller(
        self, docker: DockerBackend, engine: StubEngine, make_job: JobMaker
    ) -> None:
        engine.security_options = ["name=seccomp", "name=rootless"]
        await execute(docker, make_job(commands.SILENT))
        assert engine.bodies[0]["User"] == "0:0"

    async def test_a_job_with_network_joins_the_platform_s(self, engine: StubEngine, make_job: JobMaker) -> None:
        backend = DockerBackend(variables({"networks": ["first", "second"]}))
        await execute(backend, replace(make_job(commands.SILENT), network=True))
        assert engine.bodies[0]["HostConfig"]["NetworkMode"] == "first"
        assert engine.asked("POST /networks/second/connect") == 1
        await backend.close()

    async def test_out_of_memory_is_named(self, docker: DockerBackend, engine: StubEngine, make_job: JobMaker) -> None:
        def play(container: StubContainer) -> int:
            container.state["OOMKilled"] = True
            return 137

        engine.play = play
        outcome = await execute(docker, make_job(commands.SILENT))
        assert (outcome.reason, outcome.exit_code, outcome.signal) == (Reason.OUT_OF_MEMORY, 137, 9)
        assert not outcome.memory_sufficed

    @pytest.mark.parametrize(
        ("events", "reason"),
        [
            pytest.param(["oom"], Reason.OUT_OF_MEMORY, id="told"),
            pytest.param(["kill", "oom"], Reason.SIGNALED, id="killed-by-somebody"),
            pytest.param([], Reason.SIGNALED, id="never"),
        ],
    )
    async def test_want_of_memory_that_the_engine_tells_after_the_end_is_seen_but_not_waited_for_without_end(
        self,
        engine: StubEngine,
        make_job: JobMaker,
        monkeypatch: pytest.MonkeyPatch,
        events: list[str],
        reason: Reason,
    ) -> None:
        monkeypatch.setattr(containers, "PATIENCE_S", 5.0 if events else 0.1)
        engine.play = lambda _: 137
        engine.events = events
        backend = DockerBackend(variables({"cwl": {"steps": {"*": {"mem_limit": "64m"}}}}))
        async with asyncio.timeout(60):
            outcome = await execute(backend, make_job(commands.SILENT))
        assert (outcome.reason, outcome.memory_sufficed) == (reason, reason is Reason.SIGNALED)
        await backend.close()

    async def test_a_kill_that_the_engine_knows_of_is_no_want_of_memory(
        self, docker: DockerBackend, engine: StubEngine, make_job: JobMaker
    ) -> None:
        engine.play = lambda _: 137
        outcome = await execute(docker, make_job(commands.SILENT))
        assert (outcome.reason, outcome.signal, outcome.memory_sufficed) == (Reason.SIGNALED, 9, True)

    async def test_a_command_that_an_engine_refuses_late_is_named_too(
        self, docker: DockerBackend, engine: StubEngine, make_job: JobMaker
    ) -> None:
        def play(container: StubContainer) -> int:
            container.state["Error"] = 'exec: "no-such": executable file not found in $PATH'
            return 127

        engine.play = play
        outcome = await execute(docker, make_job(commands.SILENT))
        assert (outcome.reason, outcome.exit_code) == (Reason.NOT_FOUND, None)

    async def test_another_failure_of_the_runtime_has_an_outcome(
        self, docker: DockerBackend, engine: StubEngine, make_job: JobMaker
    ) -> None:
        engine.refuse("/start$", 500, f"{OCI}error mounting: not a directory: unknown")
        outcome = await execute(docker, make_job(commands.SILENT))
        assert (outcome.reason, outcome.message) == (Reason.START_FAILED, "error mounting: not a directory")
        assert not engine.containers

    async def test_a_missing_gpu_driver_is_an_error_with_a_hint(
        self, docker: DockerBackend, engine: StubEngine, make_job: JobMaker
    ) -> None:
        engine.refuse("/start$", 500, 'could not select device driver "" with capabilities: [[gpu]]')
        with pytest.raises(BackendError, match="container toolkit"):
            await docker.start(make_job(commands.SILENT))
        assert not engine.containers

    @pytest.mark.parametrize(
        ("refusal", "words"),
        [
            pytest.param(
                ("containers/create", 400, "bind source path does not exist: /x"), "same path", id="missing-source"
            ),
            pytest.param(("containers/create", 500, "no space left on device"), "system prune", id="full-disk"),
            pytest.param(("attach", 500, "broken"), "attach", id="no-streams"),
            pytest.param(("containers/create", 404, "No such image: x"), "is gone", id="image-gone"),
        ],
    )
    async def test_a_refused_container_is_an_error_and_leaves_nothing(
        self, docker: DockerBackend, engine: StubEngine, make_job: JobMaker, refusal: tuple[str, int, str], words: str
    ) -> None:
        engine.refuse(*refusal)
        with pytest.raises(BackendError, match=words):
            await docker.start(make_job(commands.SILENT))
        assert not engine.containers

    async def test_settings_that_the_sdk_does_not_know_are_named(self, engine: StubEngine, make_job: JobMaker) -> None:
        backend = DockerBackend(variables({"container_create_kwargs": {"nonsense": 1}}))
        with pytest.raises(BackendError, match="nonsense"):
            await backend.start(make_job(commands.SILENT))
        await backend.close()

    async def test_a_leftover_of_the_same_job_is_replaced(
        self, docker: DockerBackend, engine: StubEngine, make_job: JobMaker
    ) -> None:
        job = make_job(commands.SLEEP)
        other = DockerBackend()
        await other.start(job)
        outcome = await execute(docker, replace(job, command=commands.EXIT_7))
        assert outcome.exit_code == 7
        await other.close()
        assert not engine.containers

    async def test_a_foreign_container_of_the_same_name_is_left_alone(
        self, docker: DockerBackend, engine: StubEngine, make_job: JobMaker
    ) -> None:
        engine.refuse("containers/create", 409, "Conflict. The container name is already in use")
        with pytest.raises(BackendError, match="already in use"):
            await docker.start(make_job(commands.SILENT))

    async def test_a_missing_stdin_has_an_outcome(
        self, docker: DockerBackend, engine: StubEngine, make_job: JobMaker, tmp_path: Path
    ) -> None:
        outcome = await execute(docker, make_job(commands.ECHO_STDIN, stdin=tmp_path / "nothing"))
        assert outcome.reason is Reason.START_FAILED
        assert not engine.bodies

    @pytest.mark.parametrize("stream", ["stdout", "stderr"])
    async def test_output_never_goes_through_a_link(
        self, docker: DockerBackend, make_job: JobMaker, tmp_path: Path, stream: str
    ) -> None:
        precious = tmp_path / "precious"
        precious.write_text("data")
        job = make_job(commands.TWO_STREAMS)
        getattr(job, stream).symlink_to(precious)
        outcome = await execute(docker, job)
        assert (outcome.reason, precious.read_text()) == (Reason.START_FAILED, "data")

    async def test_output_that_cannot_be_written_is_an_error(
        self, docker: DockerBackend, engine: StubEngine, make_job: JobMaker
    ) -> None:
        with pytest.raises(BackendError, match="No space left") as caught:
            await execute(docker, replace(make_job(commands.TWO_STREAMS), stdout=Path("/dev/full")))
        assert caught.value.hint is not None
        assert not engine.containers

    async def test_input_that_is_not_read_does_no_harm(
        self, docker: DockerBackend, engine: StubEngine, make_job: JobMaker, tmp_path: Path
    ) -> None:
        source = tmp_path / "big"
        source.write_bytes(bytes(1 << 22))
        engine.play = lambda _: 0
        outcome = await execute(docker, make_job(commands.ECHO_STDIN, stdin=source))
        assert outcome.exit_code == 0

    async def test_a_container_that_somebody_removes_is_lost(
        self, docker: DockerBackend, engine: StubEngine, make_job: JobMaker
    ) -> None:
        handle = await docker.start(make_job(commands.SLEEP))
        engine.refuse("/wait$", 404, "No such container")
        engine.containers[handle.reference].killed.set()
        outcome = await docker.wait(handle)
        assert (outcome.reason, outcome.exit_code) == (Reason.LOST, None)
        await docker.delete(handle)

    async def test_a_container_of_an_engine_in_trouble_is_lost(
        self, docker: DockerBackend, engine: StubEngine, make_job: JobMaker
    ) -> None:
        handle = await docker.start(make_job(commands.SLEEP))
        engine.refuse("/wait$", 500, "shutting down")
        engine.containers[handle.reference].killed.set()
        assert (await docker.wait(handle)).reason is Reason.LOST
        await docker.delete(handle)

    async def test_a_removal_is_tried_again(
        self, docker: DockerBackend, engine: StubEngine, make_job: JobMaker
    ) -> None:
        engine.refuse("DELETE", 409, "removal of container is already in progress", times=2)
        await execute(docker, make_job(commands.SILENT))
        assert engine.asked("DELETE") == 3

    async def test_a_container_that_cannot_be_removed_is_an_error(
        self, docker: DockerBackend, engine: StubEngine, make_job: JobMaker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(docker_engine, "_REMOVE_TRIES", 2)
        handle = await docker.start(make_job(commands.SILENT))
        engine.refuse("DELETE", 500, "device is busy")
        with pytest.raises(BackendError, match="device is busy"):
            await docker.delete(handle)

    async def test_a_deleted_job_cannot_be_waited_for(self, docker: DockerBackend, make_job: JobMaker) -> None:
        handle = await docker.start(make_job(commands.SILENT))
        await docker.delete(handle)
        with pytest.raises(BackendError, match="no container"):
            await docker.wait(handle)

    @pytest.mark.parametrize("request_", ["containers/create", "/attach$", "/start$"])
    async def test_a_start_cancelled_in_the_middle_leaves_nothing(
        self, docker: DockerBackend, engine: StubEngine, make_job: JobMaker, request_: str
    ) -> None:
        release = engine.hold(request_)
        starting = asyncio.create_task(docker.start(make_job(commands.SLEEP)))
        await eventually(lambda: engine.asked(request_) == 1)
        starting.cancel()
        await asyncio.sleep(0.05)
        assert not starting.done()  # it waits until there is something to remove
        release.set()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert not engine.containers

    async def test_a_start_cancelled_twice_still_leaves_nothing(
        self, docker: DockerBackend, engine: StubEngine, make_job: JobMaker
    ) -> None:
        release = engine.hold("/start$")
        starting = asyncio.create_task(docker.start(make_job(commands.SLEEP)))
        await eventually(lambda: engine.asked("/start$") == 1)
        for _ in range(2):
            starting.cancel()
            await asyncio.sleep(0.01)
        release.set()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert not engine.containers

    async def test_a_start_that_is_cancelled_while_refused_stays_quiet(
        self, docker: DockerBackend, engine: StubEngine, make_job: JobMaker
    ) -> None:
        engine.refuse("containers/create", 500, "no")
        release = engine.hold("containers/create")
        starting = asyncio.create_task(docker.start(make_job(commands.SILENT)))
        await eventually(lambda: engine.asked("containers/create") == 1)
        starting.cancel()
        await asyncio.sleep(0.01)
        release.set()
        with pytest.raises(asyncio.CancelledError):
            await starting

    async def test_starts_that_wait_for_their_turn_are_given_up_at_once(
        self, docker: DockerBackend, engine: StubEngine, make_job: JobMaker
    ) -> None:
        release = engine.hold("containers/create")
        starting = [
            asyncio.create_task(docker.start(make_job(commands.SLEEP, suffix=str(number)))) for number in range(20)
        ]
        await eventually(lambda: engine.asked("containers/create") == 16)
        for task in starting:
            task.cancel()
        await asyncio.sleep(0.05)
        assert sum(task.done() for task in starting) == 4
        release.set()
        await asyncio.wait(starting)
        assert engine.asked("containers/create") == 16
        assert not engine.containers

    async def test_a_killed_container_that_ended_meanwhile_is_no_error(
        self, docker: DockerBackend, engine: StubEngine, make_job: JobMaker
    ) -> None:
        engine.refuse("/kill$", 409, "is not running")
        job = make_job(commands.SLEEP, timeout_s=0.1)
        handle = await docker.start(job)
        asyncio.get_running_loop().call_later(0.2, engine.containers[handle.reference].killed.set)
        assert (await docker.wait(handle)).reason is Reason.TIMED_OUT
        await docker.delete(handle)

    async def test_a_kill_that_is_refused_is_an_error(
        self, docker: DockerBackend, engine: StubEngine, make_job: JobMaker
    ) -> None:
        engine.refuse("/kill$", 500, "cannot kill")
        with pytest.raises(BackendError, match="cannot kill"):
            await execute(docker, make_job(commands.SLEEP, timeout_s=0.1))


class TestReaping(DockerCase):
    async def test_containers_of_a_flow_run_are_removed_and_no_others(
        self, docker: DockerBackend, engine: StubEngine, make_job: JobMaker
    ) -> None:
        lost = DockerBackend()
        for run, number in (("mine", 1), ("mine", 2), ("other", 3)):
            job = replace(make_job(commands.SLEEP, suffix=str(number)), labels={"flow-run-id": run})
            await lost.start(job)
        assert await docker.reap({FLOW_RUN_LABEL: "mine"}) == 2
        assert [one.config["Labels"][FLOW_RUN_LABEL] for one in engine.containers.values()] == ["other"]
        await lost.close()

    async def test_pods_on_the_same_engine_are_left_to_kubernetes(
        self, docker: DockerBackend, engine: StubEngine, make_job: JobMaker
    ) -> None:
        lost = DockerBackend()
        await lost.start(replace(make_job(commands.SLEEP), labels={"flow-run-id": "mine"}))
        for container in engine.containers.values():
            container.config["Labels"]["io.kubernetes.pod.uid"] = "u1"
        assert await docker.values_of(FLOW_RUN_LABEL) == frozenset()
        assert await docker.reap({FLOW_RUN_LABEL: "mine"}) == 0
        assert len(engine.containers) == 1
        await lost.close()

    async def test_a_bad_template_hinders_no_reaping(self, engine: StubEngine) -> None:
        backend = DockerBackend(variables({"networks": 7}))
        assert await backend.reap({FLOW_RUN_LABEL: "none"}) == 0
        await backend.close()

    async def test_without_a_label_nothing_is_removed(self, docker: DockerBackend, engine: StubEngine) -> None:
        assert await docker.reap({}) == 0
        assert not engine.requests


class TestImages(DockerCase):
    async def test_one_pull_for_many_jobs(self, docker: DockerBackend, engine: StubEngine, make_job: JobMaker) -> None:
        engine.registry.add("tool:2")
        jobs = [
            replace(make_job(commands.SILENT, suffix=str(number)), image=DockerImage(pull="tool:2"))
            for number in range(6)
        ]
        await asyncio.gather(*(execute(docker, job) for job in jobs))
        assert engine.asked("POST /images/create") == 1

    async def test_an_image_that_cannot_be_had_is_asked_for_once(
        self, docker: DockerBackend, engine: StubEngine, make_job: JobMaker
    ) -> None:
        job = replace(make_job(commands.SILENT), image=DockerImage(pull="nothing:1"))
        for _ in range(3):
            with pytest.raises(ImageError, match=r"cannot pull image nothing:1.*not found") as caught:
                await docker.start(job)
        assert caught.value.hint == "check the image's name and tag"
        assert engine.asked("POST /images/create") == 1

    async def test_closing_stops_a_pull(self, docker: DockerBackend, engine: StubEngine, make_job: JobMaker) -> None:
        await execute(docker, make_job(commands.SILENT))
        engine.registry.add("tool:2")
        release = engine.hold("POST /images/create")
        starting = asyncio.create_task(
            docker.start(replace(make_job(commands.SILENT, suffix="2"), image=DockerImage(pull="tool:2")))
        )
        await eventually(lambda: engine.asked("POST /images/create") == 1)
        await docker.close()
        with pytest.raises(ImageError, match="stopped"):
            await starting
        release.set()

    async def test_credentials_go_to_their_own_registry_only(self, engine: StubEngine, make_job: JobMaker) -> None:
        engine.registry |= {"registry.example/tool:1", "other.example/tool:1"}
        login: Any = {"username": "me", "password": "secret", "registry_url": "https://registry.example/v2/"}
        backend = DockerBackend(variables({"registry_credentials": login}))
        for number, name in enumerate(("registry.example/tool:1", "other.example/tool:1")):
            await execute(backend, replace(make_job(commands.SILENT, suffix=str(number)), image=DockerImage(pull=name)))
        assert ["X-Registry-Auth" in headers for headers in engine.headers] == [True, False]
        await backend.close()


class TestNoEngine(DockerCase):
    async def test_a_missing_engine_is_named(
        self, docker: DockerBackend, make_job: JobMaker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DOCKER_HOST", "unix:///no/such/engine.sock")
        with pytest.raises(
            BackendError, match=r"no Docker engine answers at unix:///no/such/engine.sock: .*No such file"
        ) as caught:
            await docker.start(make_job(commands.SILENT))
        assert caught.value.hint is not None
        assert "--no-container" in caught.value.hint

    async def test_a_template_that_is_not_valid_is_named(self, engine: StubEngine, make_job: JobMaker) -> None:
        backend = DockerBackend(variables({"networks": 7}))
        with pytest.raises(BackendError, match="not valid"):
            await backend.start(make_job(commands.SILENT))
        await backend.close()


class TestMovedTags(DockerCase):
    async def test_calls_of_a_run_stay_in_the_image_that_was_identified(
        self, docker: DockerBackend, engine: StubEngine, make_job: JobMaker
    ) -> None:
        image = DockerImage(pull="busybox:1.35")
        identified = await docker.identify(image, step="align")
        engine.moved["busybox:1.35"] = "sha256:later"
        await execute(docker, make_job(commands.SILENT))
        assert engine.bodies[-1]["Image"] == identified

    @pytest.mark.parametrize("moved", [False, True], ids=["same-image", "rebuilt-image"])
    async def test_a_container_is_adopted_only_in_the_image_that_was_identified(
        self, docker: DockerBackend, engine: StubEngine, make_job: JobMaker, moved: bool
    ) -> None:
        job = make_job(commands.SILENT)
        await docker.start(job)
        if moved:
            engine.moved["busybox:1.35"] = "sha256:later"
        following, image = DockerBackend(), DockerImage(pull="busybox:1.35")
        await following.identify(image, step="align")
        handle = await following.adopt(job)
        assert (handle is None) is moved
        assert bool(engine.containers) is not moved


class TestAdoption(DockerCase):
    async def test_a_container_whose_output_outgrew_the_log_is_removed(
        self, docker: DockerBackend, engine: StubEngine, make_job: JobMaker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(adoption, "_MOST_WHOLE", 256)
        job = make_job(commands.TWO_STREAMS)
        await docker.wait(await docker.start(job))
        assert await DockerBackend().adopt(job) is None
        assert not engine.containers

    async def test_output_that_outgrows_the_log_while_it_runs_is_told(
        self, docker: DockerBackend, engine: StubEngine, make_job: JobMaker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(adoption, "_MOST_WHOLE", 300)
        job = make_job(commands.SLOW_STREAMS)
        await docker.start(job)
        following = DockerBackend()
        handle = await following.adopt(job)
        assert handle is not None
        outcome = await finish(following, handle)
        assert outcome.reason is Reason.LOST
        assert "64 MiB" in (outcome.message or "")

    async def test_a_container_that_never_started_is_removed(
        self, docker: DockerBackend, engine: StubEngine, make_job: JobMaker
    ) -> None:
        job = make_job(commands.SLEEP)
        await docker.start(job)
        (container,) = engine.containers.values()
        container.state["Status"] = "created"
        assert await DockerBackend().adopt(job) is None
        assert not engine.containers

    @pytest.mark.parametrize("exit_code", [137, 143, 255], ids=["killed", "terminated", "crashed"])
    async def test_a_container_that_was_stopped_unwatched_is_removed(
        self, docker: DockerBackend, engine: StubEngine, make_job: JobMaker, exit_code: int
    ) -> None:
        engine.play = lambda _: exit_code
        job = make_job(commands.SILENT)
        await docker.wait(await docker.start(job))
        assert await DockerBackend().adopt(job) is None
        assert not engine.containers

    @pytest.mark.parametrize(
        ("exit_code", "out_of_memory", "reason"),
        [(1, False, Reason.EXITED), (139, False, Reason.SIGNALED), (137, True, Reason.OUT_OF_MEMORY)],
        ids=["failure", "crash of the tool", "out of memory"],
    )
    async def test_a_container_that_failed_by_itself_is_adopted(
        self,
        docker: DockerBackend,
        engine: StubEngine,
        make_job: JobMaker,
        exit_code: int,
        out_of_memory: bool,
        reason: Reason,
    ) -> None:
        engine.play = lambda _: exit_code
        job = make_job(commands.SILENT)
        await docker.wait(await docker.start(job))
        (container,) = engine.containers.values()
        container.state["OOMKilled"] = out_of_memory
        following = DockerBackend()
        handle = await following.adopt(job)
        assert handle is not None
        outcome = await finish(following, handle)
        assert (outcome.reason, outcome.exit_code) == (reason, exit_code)

    async def test_an_adopted_container_that_is_killed_later_is_judged(
        self, docker: DockerBackend, engine: StubEngine, make_job: JobMaker
    ) -> None:
        job = make_job(commands.SLEEP)
        await docker.start(job)
        following = DockerBackend()
        handle = await following.adopt(job)
        assert handle is not None
        (container,) = engine.containers.values()
        container.killed.set()
        outcome = await finish(following, handle)
        assert (outcome.reason, outcome.exit_code) == (Reason.SIGNALED, 137)

    async def test_an_engine_without_a_byte_exact_log_keeps_none(
        self, docker: DockerBackend, engine: StubEngine, make_job: JobMaker
    ) -> None:
        engine.log_drivers = ["json-file"]
        await execute(docker, make_job(commands.SILENT))
        assert engine.bodies[0]["HostConfig"]["LogConfig"]["Type"] == "none"

    async def test_cancelling_an_adoption_removes_the_container(
        self, docker: DockerBackend, engine: StubEngine, make_job: JobMaker
    ) -> None:
        job = make_job(commands.SLEEP)
        await docker.start(job)
        release = engine.hold(r"GET /containers/[^/]+/logs")
        adopting = asyncio.create_task(DockerBackend().adopt(job))
        await eventually(lambda: engine.asked(r"GET /containers/[^/]+/logs") > 0)
        adopting.cancel()
        release.set()
        with pytest.raises(asyncio.CancelledError):
            await adopting
        assert not engine.containers
