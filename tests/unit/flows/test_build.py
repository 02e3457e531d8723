"""Plans as flows; a flow run is stood for by its context, so that no server is needed."""

import asyncio
import inspect
import logging
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from prefect import Flow
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.context import FlowRunContext
from prefect.settings import PREFECT_LOGGING_TO_API_ENABLED, PREFECT_UI_URL, temporary_settings

from cwl_prefect.backends.fake import FakeBackend
from cwl_prefect.cwl.compile import compile_process
from cwl_prefect.cwl.load import load_process
from cwl_prefect.engine import manifest
from cwl_prefect.engine.audit import Act, entries
from cwl_prefect.engine.manifest import Outcome
from cwl_prefect.errors import InputError, PublishError, ServerError, StepError
from cwl_prefect.flows import audit, build
from cwl_prefect.flows.build import build_flow, build_reference_flow, prepared, run_plan
from cwl_prefect.flows.choose import Backends
from cwl_prefect.flows.drive import Driver
from cwl_prefect.flows.hooks import reap
from cwl_prefect.flows.run import CALLER, Caller
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

ORDER = {"name": "Ada", "times": 2}


@pytest.fixture(autouse=True)
def nobody_asks(monkeypatch):
    """Let no API be asked whether a run that is cancelled is to end for good; there is none."""

    async def unasked(_):
        await asyncio.sleep(0)

    monkeypatch.setattr(build, "note_wish", unasked)


@pytest.fixture
def plan(tmp_path):
    (tmp_path / "say.cwl").write_text(SAY)
    path = tmp_path / "greet all.cwl"
    path.write_text(WORKFLOW)
    return compile_process(load_process(str(path)), origin=str(path))


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture(autouse=True)
def _no_prefect(monkeypatch):
    """Let tasks only be awaited, and logs stay here."""
    monkeypatch.setattr(build, "Driver", lambda run: Driver(run, PlainTasks()))
    monkeypatch.setattr(audit, "_emit", lambda _: None)
    with temporary_settings({PREFECT_LOGGING_TO_API_ENABLED: False}):
        yield


@contextmanager
def flow_run():
    """Stand for the flow run that Prefect would have made."""
    found = FlowRun(id=uuid4(), flow_id=uuid4(), name="brave-otter")
    with FlowRunContext.model_construct(flow_run=found, flow=None, client=None, parameters={}):
        yield found


def caller(settings: Settings, player: Player | None = None, **more) -> Caller:
    backend = FakeBackend(player or Player(), containers=False)
    return Caller(settings=settings, backends=Backends(settings, processes=lambda: backend), **more)


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

    def test_results_are_not_stored(self, plan, settings):
        assert build_flow(plan, settings).persist_result is False

    def test_the_settings_limit_its_time(self, plan, tmp_path):
        flow = build_flow(plan, Settings(home=tmp_path, run_timeout_s=60))
        assert flow.timeout_seconds == 60

    def test_its_end_is_cleaned_up_after(self, plan, settings):
        flow = build_flow(plan, settings)
        (conclude,) = flow.on_completion_hooks
        assert flow.on_failure_hooks == [conclude]
        assert flow.on_cancellation_hooks == flow.on_crashed_hooks == [reap, conclude]

    def test_a_large_job_order_stays_with_its_caller(self, plan, settings):
        flow = build_reference_flow(plan, settings)
        assert isinstance(flow, Flow)
        assert list(inspect.signature(flow.fn).parameters) == ["inputs"]


class TestBodies:
    async def test_parameters_are_prepared_and_run(self, plan, settings, monkeypatch):
        seen = {}

        async def run_plan(given, order, caller):
            seen.update(order)
            return {"r": 1}

        monkeypatch.setattr(build, "run_plan", run_plan)
        assert await build_flow(plan, settings).fn(name="Ada", times=3) == {"r": 1}
        assert seen == {"name": "Ada", "times": 3}

    async def test_bad_parameters_are_refused(self, plan, settings):
        with pytest.raises(InputError, match="name"):
            await build_flow(plan, settings).fn(name=5, times=3)

    @pytest.mark.parametrize("make", [build_flow, build_reference_flow], ids=["flow", "reference-flow"])
    async def test_a_caller_s_job_order_is_taken_as_it_is(self, plan, settings, make):
        given = caller(settings, job_order={"name": "Ada", "times": 2})
        token = CALLER.set(given)
        try:
            with flow_run():
                names = {"inputs": "large"} if make is build_reference_flow else {"name": "shown", "times": 1}
                assert await make(plan, settings).fn(**names) == {}
        finally:
            CALLER.reset(token)
        assert given.outputs["greeting"]["basename"] == "Ada.txt"

    async def test_a_reference_flow_needs_its_caller(self, plan, settings):
        with pytest.raises(ServerError, match="job order at hand"):
            await build_reference_flow(plan, settings).fn(inputs="x")


class TestPreparing:
    def test_defaults_are_filled_in(self, plan, settings):
        assert prepared(plan, {"name": "Ada"}, settings) == {"name": "Ada", "times": 2}

    def test_what_does_not_fit_is_refused_before_anything_runs(self, plan, settings):
        with pytest.raises(InputError, match="name"):
            prepared(plan, {}, settings)


class TestRuns:
    async def test_outputs_are_published(self, plan, settings, tmp_path):
        given = caller(settings, outdir=tmp_path / "results")
        with flow_run():
            outputs = await run_plan(plan, ORDER, given)
        assert Path(tmp_path / "results" / "Ada.txt").read_text() == "Ada"
        assert outputs == given.outputs
        assert outputs["greeting"]["location"] == (tmp_path / "results" / "Ada.txt").as_uri()

    async def test_without_a_destination_they_lie_in_the_home(self, plan, settings):
        with flow_run() as run:
            outputs = await run_plan(plan, ORDER, caller(settings))
        assert str(settings.home / "outputs" / str(run.id)) in outputs["greeting"]["location"]

    async def test_the_settings_can_name_the_destination(self, plan, tmp_path):
        settings = Settings(home=tmp_path / "home", outdir=tmp_path / "named")
        with flow_run():
            await run_plan(plan, ORDER, caller(settings))
        assert (tmp_path / "named" / "Ada.txt").exists()

    async def test_the_beginning_is_told_with_its_address(self, plan, settings):
        events = []
        with temporary_settings({PREFECT_UI_URL: "http://ui"}), flow_run() as run:
            given = caller(settings, observer=events.append)
            await run_plan(plan, ORDER, given)
        assert events[0] == RunStarted(
            flow_run_id=str(run.id), name="brave-otter", url=f"http://ui/runs/flow-run/{run.id}"
        )
        assert given.flow_run_id == str(run.id)

    async def test_outside_a_flow_run_nothing_runs(self, plan, settings):
        with pytest.raises(ServerError, match="flow run"):
            await run_plan(plan, ORDER, caller(settings))

    async def test_a_failure_is_kept_for_the_caller_and_raised(self, plan, settings, tmp_path):
        given = caller(settings, outdir=tmp_path / "results")
        with flow_run(), pytest.raises(StepError) as found:
            await run_plan(plan, {"name": "fail", "times": 2}, given)
        assert given.errors == [found.value]
        assert given.outputs == {}
        assert not (tmp_path / "results").exists()

    async def test_going_on_publishes_what_there_is(self, plan, tmp_path, caplog):
        settings = Settings(home=tmp_path / "home", on_error=OnError.CONTINUE, outdir=tmp_path / "results")
        given = caller(settings)
        logger = logging.getLogger("prefect.flow_runs")
        logger.addHandler(caplog.handler)
        try:
            with flow_run(), pytest.raises(StepError):
                await run_plan(plan, {"name": "fail", "times": 2}, given)
        finally:
            logger.removeHandler(caplog.handler)
        assert given.outputs["greeting"] is None
        assert (tmp_path / "results" / "other.txt").exists()
        assert "greet" in caplog.text

    async def test_results_that_cannot_be_written_are_an_error(self, plan, settings, tmp_path):
        (tmp_path / "file").touch()
        given = caller(settings, outdir=tmp_path / "file" / "results")
        with flow_run(), pytest.raises(PublishError) as found:
            await run_plan(plan, ORDER, given)
        assert given.errors == [found.value]


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
            await asyncio.gather(run_plan(plan, {"name": name, "times": 2}, caller(settings)), return_exceptions=True)
        assert bool(workspaces(settings, run)) is left

    async def test_a_cancelled_run_is_cleaned_up(self, plan, tmp_path):
        settings, player = Settings(home=tmp_path / "home", keep=Keep.NEVER), Player()
        with flow_run() as run:
            running = asyncio.create_task(run_plan(plan, {"name": "slow", "times": 2}, caller(settings, player)))
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
            await run_plan(plan, {"name": "Ada", "times": 2}, caller(settings))
        found = manifest.read(settings.runs / str(run.id))
        assert found is not None
        assert found.outcome is Outcome.RUNNING


class TestPage:
    async def test_the_caller_is_told_the_page_of_its_run(self, plan, settings):
        told = caller(settings)
        with flow_run() as run, temporary_settings({PREFECT_UI_URL: "http://ui.example"}):
            await run_plan(plan, {"name": "Ada", "times": 2}, told)
        assert told.url == f"http://ui.example/runs/flow-run/{run.id}"


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
            await asyncio.gather(run_plan(plan, {"name": name, "times": 2}, caller(settings)), return_exceptions=True)
        assert [(entry.act, entry.run_id) for entry in entries(settings.runs)] == [(act, str(run.id)) for act in acts]

    async def test_a_run_that_is_left_to_be_resumed_is_recorded_as_interrupted(self, plan, settings):
        player = Player()
        with flow_run():
            running = asyncio.create_task(run_plan(plan, {"name": "slow", "times": 2}, caller(settings, player)))
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
            (ended,) = await asyncio.gather(
                run_plan(plan, {"name": name, "times": 2}, Caller(settings=settings, backends=backends)),
                return_exceptions=True,
            )
        assert isinstance(ended, StepError if name == "fail" else dict)
        assert "engine went away" in caplog.text
        assert "workspace gone" in caplog.text
