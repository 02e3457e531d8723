"""One call's whole path; the driver's tests cover what it means for a workflow."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent

import pytest

from cwl_prefect.backends.fake import FakeBackend
from cwl_prefect.backends.local.backend import LocalBackend
from cwl_prefect.backends.naming import FLOW_RUN_LABEL, STEP_LABEL
from cwl_prefect.cwl.javascript import engine
from cwl_prefect.engine.scheduling.scheduler import ResourcePool
from cwl_prefect.errors import (
    BackendError,
    CwlPrefectError,
    ExpressionError,
    ImageError,
    InputError,
    OutputError,
    ResourceError,
    StepError,
    TemporaryStepError,
    UnsupportedError,
)
from cwl_prefect.flows.execution.attempt import (
    Attempt,
    Cached,
    Call,
    Ready,
    Refused,
)
from cwl_prefect.flows.execution.backends import Backends
from cwl_prefect.flows.execution.call_work import CallWork
from cwl_prefect.flows.execution.evaluated import only_declared
from cwl_prefect.flows.execution.run import Run, RunRequest
from cwl_prefect.flows.lifecycle.opening import open_run
from cwl_prefect.model.events import StepEvent, StepEventKind
from cwl_prefect.model.job import CallStatus, ContainerJob, JobOutcome, Reason, StepResult
from cwl_prefect.model.names import call_name
from cwl_prefect.model.plan import ToolPlan
from cwl_prefect.settings import Keep, Settings
from tests.engines import answer
from tests.unit.documents import plan_of, tool_of

STARTED, SUCCEEDED, FAILED, RETRYING = (
    StepEventKind.STARTED,
    StepEventKind.SUCCEEDED,
    StepEventKind.FAILED,
    StepEventKind.RETRYING,
)

ANY_DOCUMENT = "{cwlVersion: v1.2, class: Workflow, inputs: {}, outputs: {}, steps: []}"
ECHO = """
    inputs: {x: {type: string, inputBinding: {}}}
    outputs: {o: stdout}
    stdout: out.txt
    baseCommand: echo
    """


CONTENTS = "{type: string, outputBinding: {glob: out, loadContents: true, outputEval: '$(self[0].contents)'}}"


class Calls:
    """Makes calls of tools given as text, on a backend of the test's choice."""

    def __init__(self, directory: Path, **limits) -> None:
        self.directory = directory
        self.events: list[StepEvent] = []
        self.settings = Settings(home=directory / "home", **limits)
        self.pool = ResourcePool(cores=2, ram_mib=4096)
        self.run: Run | None = None

    def tool(self, text: str, kind: str = "CommandLineTool") -> ToolPlan:
        return tool_of(f"cwlVersion: v1.2\nclass: {kind}\n{dedent(text)}")

    async def work(self, text: str, values: dict | None = None, *, index=(3,), kind="CommandLineTool") -> CallWork:
        assert self.run is not None
        call = Call(tool=self.tool(text, kind), values=values or {}, step="align", index=index)
        return CallWork(self.run, call)

    async def __call__(self, text: str, values: dict | None = None, **more) -> StepResult:
        work = await self.work(text, values, **more)
        await work.prepare()
        try:
            return await work.attempt()
        finally:
            await work.release()

    @property
    def kinds(self) -> list[StepEventKind]:
        return [event.kind for event in self.events]


@pytest.fixture
def limits() -> dict:
    """Settings of the test's choice."""
    return {}


@pytest.fixture
async def calls(tmp_path, limits) -> AsyncIterator[Calls]:
    """Calls that run as processes of this machine, or are played by the function that a test is parametrized with."""
    engine.install(timeout_s=5, memory_mib=64)
    found = Calls(tmp_path, **limits)
    async with Opened(found, LocalBackend) as opened:
        yield opened


class Opened:
    def __init__(self, calls: Calls, processes, containers=None) -> None:
        self._calls = calls
        backends = Backends(
            calls.settings,
            processes=processes,
            containers=containers or FakeBackend,
            available=answer(found=containers is not None),
        )
        request = RunRequest(job_order={}, settings=calls.settings, observers=(calls.events.append,), backends=backends)
        self._opening = open_run(plan_of(ANY_DOCUMENT), request, "run")

    async def __aenter__(self) -> Calls:
        run = await self._opening.__aenter__()
        self._calls.run = replace(run, pool=self._calls.pool)
        return self._calls

    async def __aexit__(self, *error) -> None:
        await self._opening.__aexit__(*error)


class TestProcesses:
    async def test_echo_says_what_it_was_given(self, calls):
        result = await calls(ECHO, {"x": "a b; $HOME 'é'"})
        assert result.status is CallStatus.SUCCEEDED
        path = Path(result.outputs["o"]["location"].removeprefix("file://"))
        assert path.read_text() == "a b; $HOME 'é'\n"
        assert calls.kinds == [STARTED, SUCCEEDED]

    async def test_cat_reads_a_file_of_any_name(self, calls, tmp_path):
        path = tmp_path / 'a b#%é".txt'
        path.write_text("hello")
        text = "inputs: {f: {type: File, inputBinding: {}}}\noutputs: {o: stdout}\nstdout: o\nbaseCommand: cat\n"
        result = await calls(text, {"f": {"class": "File", "location": path.as_uri()}})
        assert result.outputs["o"]["size"] == 5

    async def test_standard_input_is_given(self, calls, tmp_path):
        (tmp_path / "in").write_text("hello")
        text = "inputs: {f: stdin}\noutputs: {o: stdout}\nbaseCommand: cat\n"
        result = await calls(text, {"f": {"class": "File", "location": (tmp_path / "in").as_uri()}})
        assert result.outputs["o"]["size"] == 5

    async def test_a_literal_of_the_working_directory_is_there(self, calls):
        text = f"""
            requirements: {{InitialWorkDirRequirement: {{listing: [{{entryname: a.txt, entry: hi}}]}}}}
            inputs: {{}}
            outputs: {{o: {CONTENTS}}}
            stdout: out
            baseCommand: [cat, a.txt]
            """
        assert (await calls(text)).outputs == {"o": "hi"}

    async def test_a_writable_input_is_a_copy(self, calls, tmp_path):
        (tmp_path / "in.txt").write_text("before\n")
        text = """
            requirements: {InitialWorkDirRequirement: {listing: [{entry: $(inputs.f), writable: true}]}}
            inputs: {f: File}
            outputs: {o: {type: File, outputBinding: {glob: in.txt}}}
            baseCommand: [sh, -c, 'echo after >> in.txt']
            """
        result = await calls(text, {"f": {"class": "File", "location": (tmp_path / "in.txt").as_uri()}})
        assert result.outputs["o"]["size"] == len("before\nafter\n")
        assert (tmp_path / "in.txt").read_text() == "before\n"

    async def test_a_failure_holds_the_evidence(self, calls):
        text = "inputs: {}\noutputs: {}\nbaseCommand: [sh, -c, 'echo no luck >&2; exit 7']\n"
        with pytest.raises(StepError) as found:
            await calls(text)
        assert (found.value.step, found.value.exit_status) == ("align[3]", 7)
        for words in ("align[3]", "exit 7", "no luck", str(calls.settings.runs)):
            assert words in str(found.value)
        assert calls.kinds == [STARTED, FAILED]

    async def test_a_failure_leaves_its_command_as_a_script(self, calls, tmp_path):
        (tmp_path / "in.txt").write_text("given")
        text = "inputs: {x: {type: File, inputBinding: {}}}\noutputs: {}\nbaseCommand: [sh, -c, 'cat \"$0\"; exit 7']\n"
        given = {"class": "File", "location": (tmp_path / "in.txt").as_uri()}
        with pytest.raises(StepError):
            await calls(text, {"x": given})
        (script,) = calls.settings.runs.rglob("command.sh")
        done = subprocess.run(["sh", str(script)], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (7, "given")
        assert (script.parent / "logs/stdout").read_text() == "given"

    @pytest.mark.parametrize(("limits", "kept"), [({}, 0), ({"keep": Keep.ALWAYS}, 1)], ids=["on failure", "always"])
    async def test_a_success_leaves_a_script_where_all_is_kept(self, calls, kept):
        await calls(ECHO, {"x": "a"})
        assert len(list(calls.settings.runs.rglob("command.sh"))) == kept

    async def test_a_command_that_does_not_exist_is_named(self, calls):
        with pytest.raises(StepError, match="no-such-command"):
            await calls("inputs: {}\noutputs: {}\nbaseCommand: no-such-command\n")

    @pytest.mark.parametrize(
        ("codes", "raised"),
        [
            ("successCodes: [7]", None),
            ("temporaryFailCodes: [7]", TemporaryStepError),
            ("permanentFailCodes: [7]", StepError),
            ("{}", StepError),
        ],
        ids=["success", "temporary", "permanent", "undeclared"],
    )
    async def test_an_exit_code_means_what_the_tool_says(self, calls, codes, raised):
        text = f"inputs: {{}}\noutputs: {{}}\n{codes if codes != '{}' else ''}\nbaseCommand: [sh, -c, exit 7]\n"
        if raised is None:
            assert (await calls(text)).outputs == {}
            return
        with pytest.raises(StepError) as found:
            await calls(text)
        assert type(found.value) is raised

    async def test_zero_can_be_a_failure(self, calls):
        with pytest.raises(StepError):
            await calls("inputs: {}\noutputs: {}\npermanentFailCodes: [0]\nbaseCommand: 'true'\n")

    async def test_a_time_limit_of_the_tool_ends_it(self, calls):
        text = "requirements: {ToolTimeLimit: {timelimit: 1}}\ninputs: {}\noutputs: {}\nbaseCommand: [sleep, '60']\n"
        with pytest.raises(StepError, match=r"1 s|time") as found:
            await calls(text)
        assert "the tool's ToolTimeLimit" in (found.value.hint or "")

    @pytest.mark.parametrize("limits", [{"step_timeout_s": 0.2}])
    async def test_a_time_limit_of_the_run_is_named_as_that(self, calls):
        with pytest.raises(StepError, match=r"time limit of 0\.2 s") as found:
            await calls("inputs: {}\noutputs: {}\nbaseCommand: [sleep, '60']\n")
        assert "CWL_PREFECT_STEP_TIMEOUT_S" in (found.value.hint or "")
        assert "ToolTimeLimit" not in (found.value.hint or "")

    async def test_outputs_that_are_not_there_are_an_error_of_the_step(self, calls):
        text = "inputs: {}\noutputs: {o: {type: File, outputBinding: {glob: '*.bam'}}}\nbaseCommand: 'true'\n"
        with pytest.raises(OutputError, match=r"align\[3\]") as found:
            await calls(text)
        assert found.value.step == "align[3]"

    async def test_a_link_that_leaves_is_refused(self, calls):
        text = """
            inputs: {}
            outputs: {o: {type: File, outputBinding: {glob: link}}}
            baseCommand: [ln, -s, /etc/passwd, link]
            """
        with pytest.raises(OutputError):
            await calls(text)

    async def test_undeclared_outputs_are_dropped(self, calls):
        text = """
            inputs: {}
            outputs: {n: int}
            stdout: cwl.output.json
            baseCommand: [echo, '{"n": 1, "m": 2}']
            """
        assert (await calls(text)).outputs == {"n": 1}

    async def test_no_variable_of_the_driver_is_seen(self, calls, monkeypatch):
        monkeypatch.setenv("PREFECT_API_KEY", "secret")
        text = f"""
            inputs: {{}}
            outputs: {{o: {CONTENTS}}}
            stdout: out
            baseCommand: env
            """
        assert "secret" not in (await calls(text)).outputs["o"]


class TestRefusals:
    async def test_inputs_of_another_type_fail_the_call(self, calls):
        with pytest.raises(InputError, match=r"align\[3\]"):
            await calls(ECHO, {"x": 5})
        assert calls.kinds == [STARTED, FAILED]

    async def test_an_expression_that_throws_fails_the_call(self, calls):
        text = "requirements: {InlineJavascriptRequirement: {}}\narguments: ['${throw \"no luck\";}']\n" + dedent(ECHO)
        with pytest.raises(ExpressionError, match="no luck"):
            await calls(text, {"x": "a"})

    async def test_a_request_that_never_fits_fails_the_call(self, calls):
        text = "requirements: {ResourceRequirement: {coresMin: 64}}\n" + dedent(ECHO)
        with pytest.raises(ResourceError, match=r"align\[3\] asks for 64 cores"):
            await calls(text, {"x": "a"})

    @pytest.mark.parametrize(
        ("limits", "refused"),
        [pytest.param({}, False, id="the-machine"), pytest.param({"max_cores": 1}, True, id="a-setting")],
    )
    async def test_more_cores_than_the_machine_has_are_refused_by_a_setting_alone(self, calls, limits, refused):
        calls.run = replace(calls.run, pool=ResourcePool.of_machine(calls.settings))
        text = f"""
            requirements: {{ResourceRequirement: {{coresMin: 100000}}}}
            baseCommand: echo
            arguments: [$(runtime.cores)]
            inputs: {{x: string}}
            stdout: out
            outputs: {{out: {CONTENTS}}}
            """
        if refused:
            with pytest.raises(ResourceError, match="100000 cores, 1 may be used"):
                await calls(text, {"x": "a"})
        else:
            result = await calls(text, {"x": "a"})
            assert result.outputs["out"] == "100000\n"  # what was asked for, whatever it gets

    async def test_an_image_without_an_engine_fails_the_call(self, calls):
        text = "requirements: {DockerRequirement: {dockerPull: busybox}}\n" + dedent(ECHO)
        with pytest.raises(BackendError, match="busybox"):
            await calls(text, {"x": "a"})

    async def test_an_operation_fails_the_call(self, calls):
        with pytest.raises(UnsupportedError):
            await calls("inputs: {}\noutputs: {}\n", kind="Operation")

    async def test_whatever_fails_gives_resources_back(self, calls):
        for text in (ECHO, "inputs: {}\noutputs: {}\nbaseCommand: 'false'\n"):
            with pytest.raises(CwlPrefectError):
                await calls(text, {"x": 5})
        assert calls.pool._free == calls.pool._total


class TestPreparing:
    """What preparing a call comes to, before anything of it is on disk."""

    async def prepared(self, calls, values):
        call = Call(tool=calls.tool(ECHO), values=values, step="align", index=())
        return await Attempt(run=calls.run, call=call).prepare()

    async def test_a_call_that_fits_is_ready_and_holds_what_it_asks_for(self, calls):
        found = await self.prepared(calls, {"x": "a"})
        assert isinstance(found, Ready)
        assert found.bound.call.command == ("echo", "a")
        assert calls.pool._free != calls.pool._total
        assert not found.space.root.exists()
        await found.lease.aclose()
        assert calls.pool._free == calls.pool._total

    async def test_a_call_that_does_not_fit_is_refused_and_holds_nothing(self, calls):
        found = await self.prepared(calls, {"x": 5})
        assert isinstance(found, Refused)
        assert isinstance(found.error, InputError)
        assert calls.pool._free == calls.pool._total

    async def test_a_refused_call_leaves_its_scratch_directory_to_the_next(self, calls):
        await self.prepared(calls, {"x": 5})
        ready = await self.prepared(calls, {"x": "a"})
        assert ready.space.scratch.name == "0"
        await ready.lease.aclose()

    async def test_a_call_that_ran_before_is_cached(self, calls):
        text = {"x": "a"}
        call = Call(tool=calls.tool(ECHO), values=text, step="align", index=())
        work = CallWork(calls.run, call)
        await work.attempt()
        await work.release()
        found = await self.prepared(calls, text)
        assert isinstance(found, Cached)
        assert found.outputs["o"]["size"] == 2


class TestExpressions:
    async def test_an_expression_tool_runs_no_command(self, calls):
        text = """
            requirements: {InlineJavascriptRequirement: {}}
            inputs: {n: int}
            outputs: {m: int}
            expression: '${return {m: inputs.n * 2};}'
            """
        result = await calls(text, {"n": 21}, kind="ExpressionTool")
        assert (result.outputs, result.note) == ({"m": 42}, "inputs:    n 21")


class TestWhatACallTook:
    TEXT = """
        requirements: {InlineJavascriptRequirement: {}}
        hints: [{class: "http://commonwl.org/cwltool#Secrets", secrets: [password]}]
        inputs: {INPUTS}
        outputs: {}
        expression: '${return {};}'
        """

    async def told(self, calls, **values) -> str:
        inputs = ", ".join(f"{name}: Any" for name in values)
        result = await calls(self.TEXT.replace("INPUTS", inputs), values, kind="ExpressionTool")
        return result.note

    async def test_values_are_told_shortened_by_their_kind(self, calls):
        files = [{"class": "File", "location": "s3://b/reads.fq"}]
        told = await self.told(calls, text="a" * 300, files=files, many=[1] * 5000, on=True)
        assert told.split(", ", 2) == [
            f'inputs:    text "{"a" * 79}…',
            "files an array of one item",
            "the File reads.fq, many an array of 5000 items, on true",
        ]

    async def test_only_the_first_of_many_inputs_are_told(self, calls):
        told = await self.told(calls, **{f"x{n}": n for n in range(50)})
        assert told.startswith("inputs:    x0 0, x1 1")
        assert told.endswith("x19 19, and 30 more")

    async def test_secrets_are_not_told_whole_or_in_part(self, calls):
        vars(calls.run)["secret"] = ("b" * 100,)
        told = await self.told(calls, password="12", other="b" * 100)
        assert told == 'inputs:    password "(secret)", other "(secret)"'


class TestTries:
    @pytest.fixture
    def limits(self) -> dict:
        return {"retries": 1}

    async def test_a_further_try_binds_and_reserves_anew(self, calls, tmp_path):
        mark = tmp_path / "mark"
        script = f"if [ -e {mark} ]; then exit 0; fi; touch {mark} left-behind; exit 75"
        text = f"""
            inputs: {{}}
            outputs: {{o: {{type: 'File?', outputBinding: {{glob: left-behind}}}}}}
            temporaryFailCodes: [75]
            baseCommand: [sh, -c, '{script}']
            """
        work = await calls.work(text)
        await work.prepare()
        with pytest.raises(TemporaryStepError):
            await work.attempt()
        assert calls.pool._free == calls.pool._total
        result = await work.attempt()
        await work.release()
        assert result.outputs == {"o": None}
        assert calls.kinds == [STARTED, RETRYING, SUCCEEDED]
        assert calls.pool._free == calls.pool._total

    async def test_a_call_that_is_never_tried_gives_back_what_it_holds(self, calls):
        work = await calls.work(ECHO, {"x": "a"})
        await work.prepare()
        assert calls.pool._free != calls.pool._total
        await work.release()
        assert calls.pool._free == calls.pool._total
        assert calls.events == []


class TestJobs:
    """What a backend is given."""

    @pytest.fixture
    def jobs(self) -> list[ContainerJob]:
        return []

    @pytest.fixture
    async def played(self, tmp_path, jobs) -> AsyncIterator[Calls]:
        def play(job: ContainerJob) -> int:
            jobs.append(job)
            return 0

        found = Calls(tmp_path)
        found.settings = Settings(home=tmp_path / "home", step_timeout_s=30)
        opened = Opened(found, lambda: FakeBackend(play, containers=False), lambda: FakeBackend(play))
        async with opened as ready:
            yield ready

    TOOL = "inputs: {}\noutputs: {}\nbaseCommand: tool\n"

    async def test_it_is_named_and_labelled(self, played, jobs):
        await played(self.TOOL)
        assert jobs[0].name == "align[3]"
        assert jobs[0].job_id.startswith("run-align[3]-")
        assert (jobs[0].labels[FLOW_RUN_LABEL], jobs[0].labels[STEP_LABEL]) == ("run", "align[3]")

    async def test_the_settings_limit_its_time(self, played, jobs):
        await played(self.TOOL)
        assert jobs[0].timeout_s == 30

    async def test_the_tool_s_own_limit_goes_first(self, played, jobs):
        await played("requirements: {ToolTimeLimit: {timelimit: 5}}\n" + self.TOOL)
        assert jobs[0].timeout_s == 5

    async def test_an_image_reaches_the_backend_of_images(self, played, jobs):
        result = await played("hints: {DockerRequirement: {dockerPull: busybox}}\n" + self.TOOL)
        assert result.note.splitlines()[-1] == "image:     busybox"  # its workspace is not kept
        assert jobs[0].image.pull == "busybox"

    async def test_a_workspace_lies_in_the_run_s_directory(self, played, jobs):
        await played(self.TOOL)
        assert Path(jobs[0].workdir).is_relative_to(played.settings.runs)
        assert jobs[0].stderr.is_relative_to(played.settings.runs)


async def test_an_image_that_a_cluster_cannot_pull_is_an_error_of_images_as_on_docker(tmp_path):
    def play(job: ContainerJob) -> JobOutcome:
        now = datetime.now(UTC)
        said = "ErrImagePull: not found"
        return JobOutcome(
            job_id=job.job_id, reason=Reason.NO_IMAGE, exit_code=None, started_at=now, finished_at=now, message=said
        )

    async with Opened(Calls(tmp_path), FakeBackend, lambda: FakeBackend(play)) as calls:
        with pytest.raises(ImageError, match=r"align\[3\] failed: .*cannot pull its image") as told:
            await calls("hints: {DockerRequirement: {dockerPull: nothing}}\n" + TestJobs.TOOL)
    assert "ErrImagePull" in told.value.message
    assert "nothing" in str(told.value.hint)


class TestCancelling:
    async def test_a_cancelled_call_ends_its_process_and_gives_back(self, calls, tmp_path):
        mark = tmp_path / "began"
        text = f"inputs: {{}}\noutputs: {{}}\nbaseCommand: [sh, -c, 'touch {mark}; sleep 60']\n"
        running = asyncio.create_task(calls(text))
        async with asyncio.timeout(10):
            while not mark.exists():
                await asyncio.sleep(0.01)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
        assert calls.pool._free == calls.pool._total


@pytest.mark.parametrize(
    ("index", "name"), [((), "prepare.align"), ((3,), "prepare.align[3]"), ((0, 2), "prepare.align[0,2]")]
)
def test_a_call_is_named_after_its_place(index, name):
    assert call_name("prepare.align", index) == name


def test_a_tool_sees_only_what_it_declares(tmp_path):
    tool = Calls(tmp_path).tool(ECHO)
    assert only_declared(tool, {"x": 1, "other": 2}) == {"x": 1}


async def test_workspaces_can_be_kept(tmp_path):
    found = Calls(tmp_path)
    found.settings = Settings(home=tmp_path / "home", keep=Keep.ALWAYS)
    async with Opened(found, LocalBackend) as calls:
        result = await calls(ECHO, {"x": "a"})
        assert result.note.splitlines()[:2] == ['inputs:    x "a"', "command:   echo a"]
        kept = Path(result.note.splitlines()[-1].removeprefix("workspace: "))
        assert kept.is_relative_to(found.settings.runs)
        assert kept.is_dir()
