"""Plans as flows; a flow run is stood for by its context, so that no server is needed."""

import asyncio
import inspect
import logging
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from prefect import Flow
from prefect import results as prefect_results
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.context import FlowRunContext
from prefect.settings import PREFECT_LOGGING_TO_API_ENABLED, PREFECT_UI_URL, temporary_settings

from cwl_prefect.backends.fake import FakeBackend
from cwl_prefect.cwl.loading.compile import compile_process
from cwl_prefect.cwl.loading.load import load_process
from cwl_prefect.engine.records import manifest
from cwl_prefect.engine.records.audit import Act, entries
from cwl_prefect.engine.records.manifest import Outcome
from cwl_prefect.errors import InputError, PublishError, ServerError, StepError
from cwl_prefect.flows import build
from cwl_prefect.flows.build import build_flow, build_requested_flow, prepared, run_plan
from cwl_prefect.flows.execution.backends import Backends
from cwl_prefect.flows.execution.driver import Driver
from cwl_prefect.flows.execution.run import RunReport, RunRequest
from cwl_prefect.flows.lifecycle import audit, results
from cwl_prefect.model.events import RunStarted
from cwl_prefect.settings import Keep, OnError, Settings
from tests.unit.flows.driving import PlainTasks, Player

WORKFLOW = """
cwlVersion: v1.2
class: Workflow
label: Greets
doc: Says hello.
inputs:
  name: {type: string, doc: whom}
  times: {type: int, default: 2}
outputs:
  greeting: {type: 'File?', outputSource: greet/o}
  other: {type: 'File?', outputSource: other/o}
steps:
  greet: {run: say.cwl, in: {x: name}, out: [o]}
  other: {run: say.cwl, in: {x: {default: other}}, out: [o]}
"""
SAY = """
cwlVersion: v1.2
class: CommandLineTool
inputs: {x: {type: string, inputBinding: {}}}
outputs: {o: {type: File, outputBinding: {glob: "*.txt"}}}
stdout: $(inputs.x).txt
baseCommand: say
"""


@pytest.fixture(autouse=True)
def nobody_asks(monkeypatch):
    """Let no API be asked whether a run that is cancelled is to end for good; there is none."""

    async def unasked(_):
        await asyncio.sleep(0)

    monkeypatch.setattr(build, "note_wish", unasked)


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    directory = tmp_path_factory.mktemp("documents")
    (directory / "say.cwl").write_text(SAY)
    path = directory / "greet all.cwl"
    path.write_text(WORKFLOW)
    return compile_process(load_process(str(path)), origin=str(path))


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture(autouse=True, scope="module")
def _logs_stay_here():
    with temporary_settings({PREFECT_LOGGING_TO_API_ENABLED: False}):
        yield


@pytest.fixture(autouse=True)
def _no_prefect(monkeypatch):
    """Let tasks only be awaited."""
    monkeypatch.setattr(build, "Driver", lambda run, _tasks: Driver(run, PlainTasks()))
    monkeypatch.setattr(audit, "_emit", lambda *_: None)


@contextmanager
def flow_run():
    """Stand for the flow run that Prefect would have made."""
    found = FlowRun(id=uuid4(), flow_id=uuid4(), name="brave-otter")
    with FlowRunContext.model_construct(flow_run=found, flow=None, client=None, parameters={}):
        yield found


def request(settings: Settings, player: Player | None = None, *, name: str = "Ada", **more) -> RunRequest:
    backend = FakeBackend(player or Player(), containers=False)
    order, backends = {"name": name, "times": 2}, Backends(settings, processes=lambda: backend)
    return RunRequest(job_order=order, settings=settings, backends=backends, **more)


class TestFlows:
    def test_parameters_are_the_inputs(self, plan, settings):
        flow = build_flow(plan, settings)
        parameters = inspect.signature(flow.fn).parameters
        assert {name: found.default for name, found in parameters.items() if name == "times"} == {"times": 2}
        assert set(parameters) == {"name", "times"}

    def test_prefect_sees_their_schema(self, plan, settings):
        schema = build_flow(plan, settings).parameters
        assert schema.required == ["name"]
        assert "whom" in str(schema.properties["name"])

    def test_it_is_named_and_versioned_after_its_plan(self, plan, settings):
        flow = build_flow(plan, settings)
        assert (flow.name, flow.version, flow.description) == ("greet all", plan.digest[:12], "Says hello.")
        assert flow.fn.__name__.isidentifier()

    def test_results_are_stored_as_prefects_settings_say_and_never_pickled(self, plan, settings):
        flow = build_flow(plan, settings)
        assert (flow.persist_result, flow.result_serializer) == (None, "json")

    def test_the_report_of_a_requested_run_is_not_stored(self, plan, settings):
        flow = build_requested_flow(plan, request(settings), shown=False)
        assert (flow.persist_result, flow.result_serializer) == (False, "json")

    def test_the_api_is_not_asked_where_results_of_a_requested_run_go(self, plan, settings, monkeypatch):
        asked = []
        monkeypatch.setattr(prefect_results, "_read_server_default_result_storage_block_id", lambda: asked.append(None))
        prefect_results.ResultStore().update_for_flow(build_flow(plan, settings), _sync=True)
        assert asked == [None]  # of a flow that a user has it is
        prefect_results.ResultStore().update_for_flow(
            build_requested_flow(plan, request(settings), shown=False), _sync=True
        )
        assert asked == [None]

    def test_the_settings_limit_its_time(self, plan, tmp_path):
        flow = build_flow(plan, Settings(home=tmp_path, run_timeout_s=60))
        assert flow.timeout_seconds == 60

    def test_its_end_is_cleaned_up_after(self, plan, settings):
        flow = build_flow(plan, settings)
        (conclude,) = flow.on_completion_hooks
        assert flow.on_failure_hooks == [conclude]
        reap, last = flow.on_cancellation_hooks
        assert (reap.__name__, last) == ("reap", conclude)
        assert flow.on_crashed_hooks == flow.on_cancellation_hooks

    def test_a_large_job_order_is_not_among_the_parameters(self, plan, settings):
        flow = build_requested_flow(plan, request(settings), shown=False)
        assert isinstance(flow, Flow)
        assert list(inspect.signature(flow.fn).parameters) == ["inputs"]


class TestBodies:
    async def test_parameters_are_prepared_and_run(self, plan, settings, monkeypatch):
        seen = {}

        async def run_plan(given, request):
            seen.update(request.job_order)
            return RunReport(outcome=Outcome.COMPLETED, outputs={"r": 1})

        monkeypatch.setattr(build, "run_plan", run_plan)
        assert await build_flow(plan, settings).fn(name="Ada", times=3) == {"r": 1}
        assert seen == {"name": "Ada", "times": 3}

    async def test_bad_parameters_are_refused(self, plan, settings):
        with pytest.raises(InputError, match="name"):
            await build_flow(plan, settings).fn(name=5, times=3)

    @pytest.mark.parametrize("shown", [{"name": "shown", "times": 1}, {"inputs": "large"}], ids=["inputs", "large"])
    async def test_a_run_that_is_requested_takes_its_job_order_and_gives_its_report(self, plan, settings, shown):
        with flow_run() as run:
            state = await build_requested_flow(plan, request(settings), shown="inputs" not in shown).fn(**shown)
        report = state.data.unwrap()
        assert (state.type, report.outcome, report.flow_run_id) == (StateType.COMPLETED, Outcome.COMPLETED, str(run.id))
        assert report.outputs["greeting"]["basename"] == "Ada.txt"

    async def test_the_report_of_one_that_failed_comes_with_the_state_that_prefect_would_have_made(
        self, plan, settings
    ):
        with flow_run():
            state = await build_requested_flow(plan, request(settings, name="fail"), shown=True).fn()
        (error,) = state.data.unwrap().errors
        assert (state.type, state.name) == (StateType.FAILED, "Failed")
        assert state.message == f"Flow run encountered an exception: StepError: {error}"


class TestPreparing:
    def test_defaults_are_filled_in(self, plan, settings):
        assert prepared(plan, {"name": "Ada"}, settings) == {"name": "Ada", "times": 2}

    def test_what_does_not_fit_is_refused_before_anything_runs(self, plan, settings):
        with pytest.raises(InputError, match="name"):
            prepared(plan, {}, settings)


class TestRuns:
    async def test_outputs_are_published(self, plan, settings, tmp_path):
        with flow_run():
            outputs = (await run_plan(plan, request(settings, outdir=tmp_path / "results"))).outputs
        assert Path(tmp_path / "results" / "Ada.txt").read_text() == "Ada"
        assert outputs["greeting"]["location"] == (tmp_path / "results" / "Ada.txt").as_uri()

    async def test_without_a_destination_they_lie_in_the_home(self, plan, settings):
        with flow_run() as run:
            outputs = (await run_plan(plan, request(settings))).outputs
        assert str(settings.home / "outputs" / str(run.id)) in outputs["greeting"]["location"]

    async def test_the_settings_can_name_the_destination(self, plan, tmp_path):
        settings = Settings(home=tmp_path / "home", outdir=tmp_path / "named")
        with flow_run():
            await run_plan(plan, request(settings))
        assert (tmp_path / "named" / "Ada.txt").exists()

    async def test_the_beginning_is_told_with_its_address(self, plan, settings):
        events = []
        with temporary_settings({PREFECT_UI_URL: "http://ui"}), flow_run() as run:
            report = await run_plan(plan, request(settings, observers=(events.append,)))
        began = events[0]
        assert isinstance(began, RunStarted)
        assert (began.flow_run_id, began.name) == (str(run.id), "brave-otter")
        assert began.url == f"http://ui/runs/flow-run/{run.id}"
        assert (began.plan, began.resumed) == (plan, False)
        assert report.flow_run_id == str(run.id)

    async def test_outside_a_flow_run_nothing_runs(self, plan, settings):
        with pytest.raises(ServerError, match="flow run"):
            await run_plan(plan, request(settings))

    async def test_a_failure_is_reported(self, plan, settings, tmp_path):
        with flow_run():
            report = await run_plan(plan, request(settings, name="fail", outdir=tmp_path / "results"))
        assert [type(error) for error in report.errors] == [StepError]
        assert (report.outcome, report.outputs) == (Outcome.FAILED, {})
        assert not (tmp_path / "results").exists()

    async def test_going_on_publishes_what_there_is(self, plan, tmp_path, caplog):
        settings = Settings(home=tmp_path / "home", on_error=OnError.CONTINUE, outdir=tmp_path / "results")
        logger = logging.getLogger("prefect.flow_runs")
        logger.addHandler(caplog.handler)
        try:
            with flow_run():
                state = await build_requested_flow(plan, request(settings, name="fail"), shown=True).fn()
        finally:
            logger.removeHandler(caplog.handler)
        report = state.data.unwrap()
        assert (report.outcome, report.outputs["greeting"]) == (Outcome.PARTIAL, None)
        assert (tmp_path / "results" / "other.txt").exists()
        assert "greet" in caplog.text

    async def test_results_that_cannot_be_written_are_an_error(self, plan, settings, tmp_path, monkeypatch):
        monkeypatch.setattr(results, "demand_writable", lambda _: None)  # as where it could be before
        (tmp_path / "file").touch()
        with flow_run():
            report = await run_plan(plan, request(settings, outdir=tmp_path / "file" / "results"))
        assert [type(error) for error in report.errors] == [PublishError]

    async def test_nothing_begins_where_results_cannot_be_written(self, plan, settings, tmp_path):
        (tmp_path / "file").touch()
        player = Player()
        with flow_run(), pytest.raises(PublishError, match="Not a directory"):
            await run_plan(plan, request(settings, player, outdir=tmp_path / "file" / "results"))
        assert player.commands == []


def workspaces(settings: Settings, run: FlowRun) -> list[Path]:
    """Give the workspaces that a run left beside what is known of it."""
    return [path for path in (settings.runs / str(run.id)).iterdir() if path.is_dir()]


class TestWorkspaces:
    @pytest.mark.parametrize(
        ("keep", "name", "left"),
        [
            (Keep.ON_FAILURE, "Ada", False),
            (Keep.ON_FAILURE, "fail", True),
            (Keep.ALWAYS, "Ada", True),
            (Keep.NEVER, "fail", False),
        ],
    )
    async def test_they_are_kept_as_the_settings_say(self, plan, tmp_path, keep, name, left):
        settings = Settings(home=tmp_path / "home", keep=keep)
        with flow_run() as run:
            await run_plan(plan, request(settings, name=name))
        assert bool(workspaces(settings, run)) is left

    async def test_a_cancelled_run_is_cleaned_up(self, plan, tmp_path):
        settings, player = Settings(home=tmp_path / "home", keep=Keep.NEVER), Player()
        with flow_run() as run:
            running = asyncio.create_task(run_plan(plan, request(settings, player, name="slow")))
            async with asyncio.timeout(10):
                while not player.running:
                    await asyncio.sleep(0.005)
                running.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await running
        assert player.running == 0
        assert not workspaces(settings, run)

    async def test_what_is_known_of_a_run_stays_until_prefect_knows_how_it_ended(self, plan, settings):
        with flow_run() as run:
            await run_plan(plan, request(settings))
        found = manifest.read(settings.runs / str(run.id))
        assert found is not None
        assert found.outcome is Outcome.RUNNING


class TestPage:
    async def test_the_caller_is_told_the_page_of_its_run(self, plan, settings):
        with flow_run() as run, temporary_settings({PREFECT_UI_URL: "http://ui.example"}):
            report = await run_plan(plan, request(settings))
        assert report.url == f"http://ui.example/runs/flow-run/{run.id}"


class TestTrail:
    @pytest.mark.parametrize(
        ("name", "on_error", "acts"),
        [
            ("Ada", OnError.STOP, [Act.STARTED, Act.COMPLETED]),
            ("fail", OnError.STOP, [Act.STARTED, Act.FAILED]),
            ("fail", OnError.FINISH, [Act.STARTED, Act.FAILED]),
            ("fail", OnError.CONTINUE, [Act.STARTED, Act.PARTIAL]),
        ],
    )
    async def test_beginning_and_end_of_a_run_are_recorded(self, plan, tmp_path, name, on_error, acts):
        settings = Settings(home=tmp_path / "home", on_error=on_error)
        with flow_run() as run:
            await run_plan(plan, request(settings, name=name))
        assert [(entry.act, entry.run_id) for entry in entries(settings.runs)] == [(act, str(run.id)) for act in acts]

    async def test_a_run_that_is_left_to_be_resumed_is_recorded_as_interrupted(self, plan, settings):
        player = Player()
        with flow_run():
            running = asyncio.create_task(run_plan(plan, request(settings, player, name="slow")))
            async with asyncio.timeout(10):
                while not player.running:
                    await asyncio.sleep(0.005)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        assert [entry.act for entry in entries(settings.runs)] == [Act.STARTED, Act.INTERRUPTED]


class TestStates:
    @pytest.mark.parametrize(
        ("on_error", "name", "words"),
        [
            (OnError.FINISH, "Unfinished", "what ran was let to its end"),
            (OnError.CONTINUE, "Partial", "the outputs that exist were published"),
        ],
    )
    async def test_they_tell_what_was_done_after_a_failure(self, plan, tmp_path, on_error, name, words):
        settings = Settings(home=tmp_path / "home", on_error=on_error, outdir=tmp_path / "results")
        backend = FakeBackend(Player(), containers=False)
        with flow_run():
            state = await build_flow(plan, settings, backend=backend).fn(name="fail", times=2)
        assert (state.type, state.name) == (StateType.FAILED, name)
        assert words in state.message
        assert (tmp_path / "results").exists() is (on_error is OnError.CONTINUE)
        with pytest.raises(StepError):
            await state.aresult()

    async def test_a_run_that_stops_just_fails(self, plan, settings):
        backend = FakeBackend(Player(), containers=False)
        with flow_run(), pytest.raises(StepError):
            await build_flow(plan, settings, backend=backend).fn(name="fail", times=2)


class TestCleaning:
    @pytest.mark.parametrize("name", ["Ada", "fail"])
    async def test_what_goes_wrong_in_it_changes_nothing_and_is_told(self, plan, settings, caplog, monkeypatch, name):
        class Broken(FakeBackend):
            async def close(self) -> None:
                raise RuntimeError("engine went away")

        def fails(*_, **__) -> None:
            raise OSError("workspace gone")

        monkeypatch.setattr(build, "clear", fails)
        backends = Backends(settings, processes=lambda: Broken(Player(), containers=False))
        with flow_run(), caplog.at_level(logging.ERROR):
            report = await run_plan(plan, replace(request(settings, name=name), backends=backends))
        assert report.outcome is (Outcome.FAILED if name == "fail" else Outcome.COMPLETED)
        assert "engine went away" in caplog.text
        assert "workspace gone" in caplog.text
