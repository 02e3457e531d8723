"""Calls that ran before are not run again; whatever stands in the way of that costs a run, never a wrong result."""

import asyncio
import errno
import json
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cwl_prefect._lib.file_lock import KeyLocks
from cwl_prefect.backends.base import Capabilities, JobHandle, UnidentifiedError
from cwl_prefect.backends.fake import FakeBackend
from cwl_prefect.backends.local.backend import LocalBackend
from cwl_prefect.cwl.javascript import engine
from cwl_prefect.engine.cache.checksums import LARGE
from cwl_prefect.engine.records.journal import LOOK_UPS
from cwl_prefect.errors import CwlPrefectError, StepError, UsageError
from cwl_prefect.flows.cache import call_cache as cached
from cwl_prefect.flows.execution.attempt import Call
from cwl_prefect.flows.execution.backends import Backends
from cwl_prefect.flows.execution.call_work import CallWork
from cwl_prefect.flows.execution.run import Run, RunRequest
from cwl_prefect.flows.lifecycle.opening import open_run
from cwl_prefect.model.events import StepEventKind
from cwl_prefect.model.job import ContainerJob, DockerImage, StepResult
from cwl_prefect.settings import CacheMode, Keep, Settings
from tests.unit.documents import plan_of

COUNT = """
    cwlVersion: v1.2
    class: CommandLineTool
    baseCommand: count
    inputs:
      text: {type: string?, inputBinding: {}}
      file: {type: File?, inputBinding: {}}
      folder: Directory?
    stdout: out.txt
    outputs:
      said: stdout
      all: {type: Directory, outputBinding: {glob: all}}
    """


class Known(FakeBackend):
    """Plays tools, and says what they run in."""

    def __init__(self, handler: Callable[[ContainerJob], object]) -> None:
        super().__init__(handler, containers=False)  # type: ignore[arg-type]
        self.runs_in: str | None = "here"

    async def identify(self, image: DockerImage | None, *, step: str) -> str | None:
        return self.runs_in


class Unsure(FakeBackend):
    """Runs images, and may not know of one what it is."""

    def __init__(self, handler: Callable[[ContainerJob], object]) -> None:
        super().__init__(handler, containers=True)  # type: ignore[arg-type]
        self.unknown: str | None = None

    async def identify(self, image: DockerImage | None, *, step: str) -> str | None:
        if self.unknown is not None:
            raise UnidentifiedError(self.unknown)
        return "sha256:1"


class Lab:
    """Makes calls, each in a run of its own."""

    def __init__(self, directory: Path) -> None:
        engine.install(timeout_s=5, memory_mib=64)
        self.directory = directory
        self.settings = Settings(home=directory / "home")
        self.text = COUNT
        self.backend: FakeBackend | LocalBackend = Known(self.play)
        self.size = 10
        self.runs = 0
        self.calls = 0
        self.took_s = 0.0
        self.fails = False
        self.events: list = []

    async def play(self, job: ContainerJob) -> int:
        self.runs += 1
        await asyncio.sleep(self.took_s)
        job.stdout.write_text(f"{' '.join(Path(word).name for word in job.command)}\n")
        inner = Path(job.workdir) / "all" / "inner"
        inner.mkdir(parents=True)
        (inner / "large").write_bytes(random.Random(1).randbytes(self.size))
        return 1 if self.fails else 0

    def open(self, run_id: str = "run"):
        request = RunRequest(
            job_order={},
            settings=self.settings,
            observers=(self.events.append,),
            backends=Backends.of(self.backend, self.settings),
        )
        return open_run(plan_of(self.text, name="tool.cwl"), request, run_id)

    async def within(self, run: Run, values: dict, step: str = "align", index: tuple[int, ...] = ()) -> StepResult:
        (only,) = run.plan.steps
        work = CallWork(run, Call(tool=only.run, values=values, step=step, index=index))
        await work.prepare()
        try:
            return await work.attempt()
        finally:
            await work.release()

    async def call(self, values: dict | None = None, run_id: str | None = None, step: str = "align") -> StepResult:
        self.calls += 1
        async with self.open(run_id or f"run-{self.calls}") as run:
            return await self.within(run, values or {"text": "a"}, step)

    def change(self, **settings) -> None:
        self.settings = self.settings.model_copy(update=settings)

    def journal(self, run_id: str = "run-1") -> list[dict]:
        path = self.settings.reports / run_id / LOOK_UPS
        return [json.loads(line) for line in path.read_text().splitlines()]


def contents(result: StepResult) -> tuple[bytes, bytes]:
    said, everything = (Path(result.outputs[port]["location"].removeprefix("file://")) for port in ("said", "all"))
    return said.read_bytes(), (everything / "inner" / "large").read_bytes()


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


@pytest.mark.parametrize("size", [10, 100_000], ids=["small", "large"])
@pytest.mark.parametrize("keep", list(Keep))
async def test_a_call_that_ran_before_is_not_run(lab: Lab, size: int, keep: Keep):
    lab.size = size
    lab.change(keep=keep)
    first = await lab.call(run_id="first")
    lab.events.clear()
    second = await lab.call(run_id="second")
    assert lab.runs == 1
    assert (first.cached, second.cached) == (False, True)
    assert second.note == 'an identical call ran before, in run first\ninputs:    text "a"'
    assert contents(first) == contents(second)
    assert [event.kind for event in lab.events] == [StepEventKind.CACHED]
    assert [(line["hit"], line["key"]) for line in lab.journal("second")] == [(True, lab.journal("first")[0]["key"])]


async def test_a_result_is_found_where_its_call_left_directories_that_cannot_be_written(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
):
    first = await lab.call(run_id="killed")
    expected = contents(first)
    inner = Path(first.outputs["all"]["location"].removeprefix("file://")) / "inner"
    inner.chmod(0o555)
    remove = shutil.rmtree

    def remove_as_its_owner(path: Path, ignore_errors: bool = False) -> None:
        if inner.is_relative_to(path) and inner.exists() and not inner.stat().st_mode & 0o200:
            raise PermissionError(13, "Permission denied", str(inner))
        remove(path, ignore_errors)

    monkeypatch.setattr(shutil, "rmtree", remove_as_its_owner)
    second = await lab.call(run_id="killed")
    assert second.cached
    assert contents(second) == expected


async def test_a_call_runs_where_what_lies_in_its_place_cannot_be_removed(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    first = await lab.call(run_id="killed")
    expected = contents(first)

    def refuse(place: Path) -> None:
        raise FileExistsError(errno.EEXIST, "what lies there cannot be removed", str(place))

    monkeypatch.setattr(cached, "make_empty", refuse)
    second = await lab.call(run_id="killed")
    assert not second.cached
    assert contents(second) == expected
    assert "what lies there cannot be removed" in caplog.text


async def test_small_files_of_different_names_share_a_directory(lab: Lab):
    lab.text = """
        cwlVersion: v1.2
        class: CommandLineTool
        baseCommand: count
        inputs: {text: {type: string, inputBinding: {}}}
        stdout: $(inputs.text).txt
        outputs: {said: stdout}
        """
    async with lab.open("first") as run:
        for text in "ab":
            await lab.within(run, {"text": text})
    async with lab.open("second") as run:
        results = [await lab.within(run, {"text": text}, "step[1]") for text in "aba"]
    places = [Path(result.outputs["said"]["location"].removeprefix("file://")) for result in results]
    assert len(set(places)) == 3
    assert places[0].parent == places[1].parent != places[2].parent
    assert [place.read_text() for place in places] == ["count a\n", "count b\n", "count a\n"]


async def test_links_that_lead_nowhere_are_found_too(lab: Lab):
    play = lab.play

    async def play_with_link(job: ContainerJob) -> int:
        status = await play(job)
        (Path(job.workdir) / "all" / "python").symlink_to("/only/in/image")
        return status

    lab.backend = Known(play_with_link)
    for again in (False, True):
        result = await lab.call()
        everything = Path(result.outputs["all"]["location"].removeprefix("file://"))
        assert (result.cached, (everything / "python").readlink()) == (again, Path("/only/in/image"))


async def test_other_inputs_are_another_call(lab: Lab):
    await lab.call({"text": "a"})
    await lab.call({"text": "b"})
    assert lab.runs == 2


async def test_the_step_does_not_count(lab: Lab):
    await lab.call(step="align")
    await lab.call(step="other.align[3]")
    assert lab.runs == 1


async def test_a_failed_call_is_not_kept(lab: Lab):
    lab.fails = True
    with pytest.raises(Exception, match="align"):
        await lab.call()
    lab.fails = False
    assert not (await lab.call()).cached
    assert lab.runs == 2


@pytest.mark.parametrize("glob", [".", "./", "$(runtime.outdir)"])
async def test_a_whole_output_directory_is_shared_with_no_other_call(lab: Lab, glob: str):
    lab.text = f"""
        cwlVersion: v1.2
        class: CommandLineTool
        baseCommand: count
        inputs: {{text: {{type: string, inputBinding: {{}}}}}}
        stdout: $(inputs.text).txt
        outputs: {{all: {{type: Directory, outputBinding: {{glob: {glob}}}}}}}
        """
    lab.backend = Known(lambda job: job.stdout.write_text("x") and 0)
    for again in (False, True):
        async with lab.open(f"run-{again}") as run:
            results = [await lab.within(run, {"text": text}, index=(n,)) for n, text in enumerate("ab")]
        places = [Path(result.outputs["all"]["location"].removeprefix("file://")) for result in results]
        assert [result.cached for result in results] == [again, again]
        assert [[path.name for path in place.iterdir()] for place in places] == [["a.txt"], ["b.txt"]]


async def test_identical_calls_at_once_run_once(lab: Lab):
    lab.took_s = 0.05
    async with lab.open() as run:
        results = await asyncio.gather(*(lab.within(run, {"text": "a"}, f"s{n}") for n in range(20)))
    assert lab.runs == 1
    assert sorted(result.cached for result in results) == [False] + [True] * 19
    assert len({contents(result) for result in results}) == 1
    assert len({result.outputs["said"]["location"] for result in results}) == 20


async def test_identical_calls_of_two_runs_run_once(lab: Lab):
    lab.took_s = 0.05
    async with lab.open("a") as one, lab.open("b") as other:
        await asyncio.gather(
            *(lab.within(run, {"text": str(n % 5)}, f"s{n}") for n in range(10) for run in (one, other))
        )
    assert lab.runs == 5


async def test_where_the_first_fails_the_next_runs(lab: Lab):
    lab.took_s, lab.fails = 0.02, True
    async with lab.open() as run:
        calls = (lab.within(run, {"text": "a"}, f"s{n}") for n in range(3))
        results = await asyncio.gather(*calls, return_exceptions=True)
    assert lab.runs == 3
    assert all(isinstance(result, Exception) for result in results)


async def test_a_cancelled_call_lets_others_go_on(lab: Lab):
    lab.took_s = 0.2
    async with lab.open() as run:
        first = asyncio.create_task(lab.within(run, {"text": "a"}, "s1"))
        second = asyncio.create_task(lab.within(run, {"text": "a"}, "s2"))
        await asyncio.sleep(0.1)
        first.cancel()
        assert not (await asyncio.wait_for(second, 5)).cached
    await lab.call(run_id="later")
    assert KeyLocks(lab.settings.home / "cache" / "locks").take(lab.journal("later")[0]["key"])


class TestSwitches:
    async def test_no_cache(self, lab: Lab):
        lab.change(cache=False)
        await lab.call()
        await lab.call()
        assert lab.runs == 2
        assert not (lab.settings.home / "cache").exists()

    async def test_another_cache(self, lab: Lab, tmp_path: Path):
        lab.change(cache_url=str(tmp_path / "shared"))
        await lab.call()
        lab.change(home=tmp_path / "another home")
        assert (await lab.call()).cached

    @pytest.mark.parametrize(("pattern", "runs"), [("align", 2), ("prepare", 2), ("al*", 1), ("other", 1), ("p*", 2)])
    async def test_a_step_may_be_refreshed(self, lab: Lab, pattern: str, runs: int, monkeypatch: pytest.MonkeyPatch):
        await lab.call(step="prepare[3].align")
        lab.change(refresh=(f"prepare.{pattern}" if pattern == "align" else pattern,))
        monkeypatch.setattr(cached, "_check_refresh", lambda *_: None)
        await lab.call(step="prepare[4].align")
        assert lab.runs == runs
        lab.change(refresh=())
        assert (await lab.call()).cached

    async def test_refreshing_runs_identical_calls_once(self, lab: Lab):
        await lab.call()
        lab.change(refresh=("tool",))
        async with lab.open() as run:
            await asyncio.gather(*(lab.within(run, {"text": "a"}, "tool") for _ in range(3)))
        assert lab.runs == 2

    @pytest.mark.parametrize("switch", ["one step", "every step", "age", "Prefect"])
    async def test_a_resumed_run_does_not_refresh_again(self, lab: Lab, switch: str):
        from prefect.settings import PREFECT_TASKS_REFRESH_CACHE, temporary_settings

        await lab.call(run_id="earlier")
        switches: dict = {"one step": {"refresh": ("tool",)}, "every step": {"refresh": ("*",)}}
        lab.change(**switches.get(switch, {"cache_expiration_s": 0.000001} if switch == "age" else {}))
        with temporary_settings({PREFECT_TASKS_REFRESH_CACHE: switch == "Prefect"}):
            cached_calls = [(await lab.call(run_id="killed", step="tool")).cached for _ in range(2)]
            assert cached_calls == [False, True]
            assert not (await lab.call(run_id="later", step="tool")).cached

    async def test_every_step_may_be_refreshed_also_where_there_is_none(self, lab: Lab):
        await lab.call()
        lab.change(refresh=("*",))
        assert not (await lab.call()).cached
        plan = plan_of(lab.text, name="tool.cwl")
        cached._check_refresh(replace(plan, steps=()), lab.settings)

    async def test_a_step_that_does_not_exist_cannot_be_refreshed(self, lab: Lab):
        lab.change(refresh=("tool", "nope"))
        with pytest.raises(UsageError, match="no step nope"):
            await lab.call()

    async def test_a_cache_by_url(self, lab: Lab, tmp_path: Path):
        lab.size = 100_000
        lab.change(cache_url=f"memory://{tmp_path.name}")
        first = await lab.call()
        second = await lab.call()
        assert second.cached
        assert contents(first) == contents(second)
        assert not (lab.settings.home / "cache").exists()

    async def test_results_expire(self, lab: Lab):
        await lab.call()
        lab.change(cache_expiration_s=1000)
        assert (await lab.call()).cached
        lab.change(cache_expiration_s=0.000001)
        assert not (await lab.call()).cached

    async def test_prefect_may_disable_caching(self, lab: Lab):
        from prefect.settings import PREFECT_TASKS_DISABLE_CACHING, temporary_settings

        await lab.call()
        with temporary_settings({PREFECT_TASKS_DISABLE_CACHING: True}):
            assert not (await lab.call()).cached

    async def test_prefect_may_refresh_all(self, lab: Lab):
        from prefect.settings import PREFECT_TASKS_REFRESH_CACHE, temporary_settings

        await lab.call()
        with temporary_settings({PREFECT_TASKS_REFRESH_CACHE: True}):
            assert not (await lab.call()).cached
        assert (await lab.call()).cached

    @pytest.mark.parametrize(
        "requirement",
        [
            "requirements: {WorkReuse: {enableReuse: false}}",
            "requirements: {InplaceUpdateRequirement: {inplaceUpdate: true}}",
            "$namespaces: {cwltool: 'http://commonwl.org/cwltool#'}\n    hints: {'cwltool:Secrets': {secrets: [text]}}",
        ],
        ids=["no reuse", "in place", "secrets"],
    )
    async def test_a_tool_may_refuse(self, lab: Lab, requirement: str):
        lab.text = COUNT.replace("baseCommand", f"{requirement}\n    baseCommand")
        await lab.call({"text": "s3cret"})
        assert not (await lab.call({"text": "s3cret"})).cached
        written = [path for path in lab.settings.home.rglob("*") if path.is_file()]
        assert all(b"s3cret" not in path.read_bytes() for path in written if "runs" not in path.parts)


class TestFiles:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        path = tmp_path / "reads.txt"
        path.write_bytes(b"x" * LARGE)
        os.utime(path, (1_000_000, 1_000_000))
        return path

    def value(self, path: Path) -> dict:
        return {"file": {"class": "File", "location": path.as_uri(), "basename": path.name}}

    async def test_content_counts(self, lab: Lab, file: Path):
        await lab.call(self.value(file))
        file.touch()
        assert (await lab.call(self.value(file))).cached
        file.write_bytes(b"y" * LARGE)
        assert not (await lab.call(self.value(file))).cached

    async def test_a_large_file_that_was_seen_is_not_read(self, lab: Lab, file: Path, monkeypatch: pytest.MonkeyPatch):
        await lab.call(self.value(file))

        def refuse(*_arguments: object) -> None:
            raise AssertionError("a file was read")

        monkeypatch.setattr("cwl_prefect.engine.cache.checksums.file_checksum", refuse)
        assert (await lab.call(self.value(file))).cached

    async def test_a_large_file_is_read_once_for_all_calls(self, lab: Lab, file: Path):
        async with lab.open() as run:
            assert run.cache is not None
            await asyncio.gather(*(lab.within(run, {**self.value(file), "text": str(n)}, f"s{n}") for n in range(5)))
            assert run.cache.checksums.bytes_read < 2 * LARGE
        assert lab.runs == 5

    async def test_outputs_are_not_read_again_by_later_steps(self, lab: Lab):
        lab.size = 2 * LARGE
        async with lab.open() as run:
            assert run.cache is not None
            result = await lab.within(run, {"text": "a"})
            before, lab.size = run.cache.checksums.bytes_read, 0
            await lab.within(run, {"folder": result.outputs["all"]}, "next")
            assert run.cache.checksums.bytes_read == before

    @pytest.mark.parametrize("container", [True, False], ids=["container", "process"])
    @pytest.mark.parametrize("change", ["file", "directory", "removed"])
    async def test_a_call_whose_input_changed_meanwhile_is_not_kept(
        self, lab: Lab, file: Path, tmp_path: Path, change: str, container: bool
    ):
        (tmp_path / "folder").mkdir()
        values = {
            **self.value(file),
            "folder": {"class": "Directory", "location": (tmp_path / "folder").as_uri(), "basename": "folder"},
        }
        play = lab.play

        async def meddle(job: ContainerJob) -> int:
            match change:
                case "file":
                    file.write_bytes(b"y" * LARGE)
                case "directory":
                    (tmp_path / "folder" / "more").write_text("")
                case "removed":
                    file.unlink()
            return await play(job)

        lab.backend = Known(meddle)
        if container:
            lab.backend._capabilities = replace(lab.backend.capabilities, mounts=True)
            await lab.call(values)
            assert "changed while it ran" in lab.journal()[-1]["reason"]
        else:
            with pytest.raises(StepError, match="was changed while it ran"):
                await lab.call(values)
        assert not list((lab.settings.home / "cache" / "entries").glob("*/*"))

    async def test_by_metadata_nothing_is_read(self, lab: Lab, file: Path):
        lab.change(cache_mode=CacheMode.METADATA)
        await lab.call(self.value(file))
        assert (await lab.call(self.value(file))).cached
        file.touch()
        assert not (await lab.call(self.value(file))).cached

    async def test_a_missing_input_is_told_by_the_call(self, lab: Lab, tmp_path: Path):
        with pytest.raises(Exception, match="No such file"):
            await lab.call(self.value(tmp_path / "missing"))
        assert "No such file" in lab.journal()[0]["reason"]


class TestRunner:
    async def test_what_a_tool_runs_in_counts(self, lab: Lab):
        await lab.call()
        lab.backend = Known(lab.play)
        lab.backend.runs_in = "elsewhere"
        assert not (await lab.call()).cached

    @pytest.mark.parametrize("backend", ["unknown", "unable"])
    async def test_a_backend_that_cannot_tell_is_not_cached(self, lab: Lab, backend: str):
        lab.backend = FakeBackend(lab.play, containers=False) if backend == "unknown" else Known(lab.play)
        if isinstance(lab.backend, Known):
            lab.backend.runs_in = None
        await lab.call()
        assert not (await lab.call()).cached
        assert "cannot tell" in lab.journal()[0]["reason"]

    async def test_why_a_backend_cannot_tell_is_noted(self, lab: Lab):
        lab.backend = Unsure(lab.play)
        lab.backend.unknown = "its registry is away"
        await lab.call()
        assert not (await lab.call()).cached
        assert lab.journal()[0]["reason"] == "its registry is away"

    async def test_the_program_of_a_process_counts(self, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        program = tmp_path / "bin" / "count"
        program.parent.mkdir()
        program.write_text("#!/bin/sh\nmkdir -p all/inner; echo one; echo two > all/inner/large\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        lab.backend = LocalBackend()
        first = await lab.call()
        assert contents(first) == (b"one\n", b"two\n")
        assert (await lab.call()).cached
        program.write_text(program.read_text().replace("one", "ONE"))
        assert contents(await lab.call()) == (b"ONE\n", b"two\n")


@pytest.mark.parametrize("outlives", [True, False])
async def test_a_job_that_outlives_its_driver_is_deleted_once_its_result_is_kept(lab: Lab, outlives: bool):
    """A driver that is killed until then leaves the job to the next one; nothing else may run while it is collected."""
    kept: list[bool] = []

    class Watching(Known):
        capabilities = Capabilities(containers=False, mounts=False, outlives_driver=outlives)

        async def delete(self, handle: JobHandle) -> None:
            kept.append(any((lab.settings.home / "cache" / "entries").glob("*/*")))
            await super().delete(handle)

    lab.backend = Watching(lab.play)
    await lab.call()
    assert kept[0] == outlives
    assert not list(lab.settings.runs.glob("*/*/logs"))


async def test_a_job_is_deleted_where_its_outputs_cannot_be_collected(lab: Lab):
    lab.backend = Known(lambda job: 0)
    with pytest.raises(CwlPrefectError, match="no file matches"):
        await lab.call()
    assert not lab.backend._plays


class TestReads:
    """What expressions read decides for which calls a result counts."""

    @pytest.fixture(autouse=True)
    def _telling(self, lab: Lab) -> None:
        lab.backend = Known(lambda job: job.stdout.write_text(job.command[-1]) and 0)

    def tells(self, lab: Lab, expression: str, found: str = "$(self[0].contents)") -> None:
        lab.text = f"""
            cwlVersion: v1.2
            class: CommandLineTool
            requirements: {{InlineJavascriptRequirement: {{}}}}
            baseCommand: tell
            arguments: [{json.dumps(expression)}]
            inputs: {{file: File}}
            stdout: out.txt
            outputs:
              told: {{type: Any, outputBinding: {{glob: out.txt, loadContents: true, outputEval: {json.dumps(found)}}}}}
            """

    async def call(self, lab: Lab, place: str) -> tuple[object, bool]:
        path = lab.directory / place / "x.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
        result = await lab.call({"file": {"class": "File", "location": path.as_uri(), "basename": "x.txt"}})
        return result.outputs["told"], result.cached

    @pytest.mark.parametrize(
        "expression",
        [
            "$(inputs.file.location)",
            "${var r = []; for (var k in inputs.file) r.push(k == 'location' && inputs.file[k]); return r.join('');}",
            "${return Object.keys(inputs.file).map(k => k[0] == 'l' && inputs.file[k]).join('');}",
        ],
    )
    async def test_a_location_that_is_read_counts(self, lab: Lab, expression: str):
        self.tells(lab, expression)
        found = [await self.call(lab, place) for place in "abab"]
        assert [cached for _, cached in found] == [False, False, True, True]
        for (told, _), place in zip(found, "abab", strict=True):
            assert f"/{place}/x.txt" in str(told)

    async def test_a_location_that_is_not_read_does_not_count(self, lab: Lab):
        self.tells(
            lab, "${var location = JSON.stringify(Object.keys({a: 1})); return inputs.file.basename + location;}"
        )
        assert [cached for _, cached in [await self.call(lab, place) for place in "ab"]] == [False, True]

    async def test_a_result_of_chance_is_not_kept_and_why_is_noted(self, lab: Lab):
        self.tells(lab, "${return String(Math.random());}")
        (first, _), (second, cached) = [await self.call(lab, "a") for _ in range(2)]
        assert not cached
        assert first != second
        assert "${return String(Math.random());} calls Math.random" in lab.journal()[-1]["reason"]

    async def test_calls_of_chance_wait_for_none_but_the_first(self, lab: Lab):
        self.tells(lab, "${return String(Math.random());}")
        path = lab.directory / "x.txt"
        path.write_text("x")
        file = {"class": "File", "location": path.as_uri(), "basename": "x.txt"}
        running, most = 0, 0

        async def play(job: ContainerJob) -> int:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.05)
            job.stdout.write_text("x")
            running -= 1
            return 0

        lab.backend = Known(play)
        async with lab.open() as run:
            await asyncio.gather(*(lab.within(run, {"file": file}, f"s{n}") for n in range(4)))
        assert most > 1

    @pytest.mark.parametrize(
        ("expression", "found", "kept"),
        [
            ("$(inputs.file.path)", "$(self[0].size > 0)", True),
            ("${return inputs.file.path.length + 'x';}", "$(self[0].size > 0)", False),
            ("x", "$(self[0].location)", False),
            ("x", "$(runtime.outdir)", False),
            ("x", "$(self[0])", True),
            ("x", "${return {class: 'File', location: self[0].location};}", True),
            ("x", "${return self[0].location.length;}", False),
        ],
    )
    async def test_a_path_of_the_run_that_shows_in_a_result_is_not_kept(
        self, lab: Lab, expression: str, found: str, kept: bool
    ):
        self.tells(lab, expression, found)
        await self.call(lab, "a")
        assert (await self.call(lab, "a"))[1] == kept


class TestDamage:
    @pytest.mark.parametrize("seed", range(16))
    async def test_no_damage_gives_a_wrong_output_or_a_failure(self, lab: Lab, seed: int):
        order = random.Random(seed)
        lab.size = 5000
        expected = {text: contents(await lab.call({"text": text}, run_id=f"first {text}")) for text in "abc"}
        for number in range(4):
            harm(lab.settings.home, order)
            for text in "abc":
                assert contents(await lab.call({"text": text}, run_id=f"{number} {text}")) == expected[text]
        assert all([(await lab.call({"text": text})).cached for text in "abc"])

    async def test_a_cache_that_cannot_be_written_is_done_without(
        self, lab: Lab, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ):
        (tmp_path / "file").write_text("")
        lab.change(cache_url=str(tmp_path / "file" / "cache"))
        async with lab.open() as run:
            for text in "ab":
                assert not (await lab.within(run, {"text": text})).cached
        assert [record.levelname for record in caplog.records if "cannot be kept" in record.message] == ["WARNING"]


def harm(home: Path, order: random.Random) -> None:
    """Damage the cache at random, as disks, people and crashes do; the times of files may show it."""
    files = [path for kind in ("cache", "reports") for path in (home / kind).rglob("*") if path.is_file()]
    files += list(home.glob("checksums.sqlite*"))
    for path in order.sample(files, min(len(files), order.randint(1, 4))):
        if not path.exists():
            continue
        path.chmod(0o644)
        match order.randrange(5):
            case 0:
                path.write_bytes(path.read_bytes()[: order.randrange(path.stat().st_size + 1)])
            case 1:
                path.unlink()
            case 2:
                other = order.choice([each for each in files if each.exists()])
                path.write_bytes(other.read_bytes())
            case 3:
                path.write_bytes(order.randbytes(path.stat().st_size))
            case 4:
                others = [each for each in files if each.exists() and each != path]
                if others:
                    order.choice(others).replace(path)


async def test_a_process_runs_on_a_kind_of_machine():
    assert " " in (await LocalBackend().identify(None, step="align") or "")
    assert LocalBackend().capabilities == Capabilities(containers=False, mounts=False)


def test_names_of_steps_match_without_indices():
    assert cached._names("a.b", "a[1].b")
    assert cached._names("a", "a[1,2].b")
    assert not cached._names("b", "a[1].b")
    assert cached._names("*", "anything.at.all")
