import asyncio
from contextlib import asynccontextmanager

import httpx
import pytest
from prefect.context import TagsContext
from prefect.exceptions import CrashedRun
from prefect.settings import PREFECT_API_URL, PREFECT_UI_URL
from prefect.states import Completed, Failed

from cwl_prefect.cwl.compile import compile_process
from cwl_prefect.cwl.load import load_process
from cwl_prefect.errors import InputError, ServerError, StepError, TimeLimitError
from cwl_prefect.flows import connected as connecting
from cwl_prefect.flows import invoke as invoking
from cwl_prefect.flows.invoke import LARGEST_PARAMETERS, invoke
from cwl_prefect.flows.run import CALLER
from cwl_prefect.flows.server import ApiEndpoint
from cwl_prefect.settings import Settings

DOCUMENT = """
cwlVersion: v1.2
class: Workflow
inputs: {x: string, from: {type: string, default: c}}
outputs: {r: {type: string, outputSource: x}}
steps: []
"""


@pytest.fixture
def plan(tmp_path):
    path = tmp_path / "main.cwl"
    path.write_text(DOCUMENT)
    return compile_process(load_process(str(path)), origin="main.cwl")


class Prefect:
    """Stands for Prefect: a leased server, and flows that give a state of the test's choice."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict]] = []
        self.caller = None
        self.api_url = None
        self.ui_url = None
        self.leased = 0
        self.made = None
        self.tags: set[str] = set()
        self.ours = True
        self.answer = lambda caller: Completed(data={})

    @asynccontextmanager
    async def lease(self, settings):
        self.leased += 1
        try:
            yield ApiEndpoint(url="http://127.0.0.1:1/api", ui_url="http://127.0.0.1:1", ours=self.ours, started=False)
        finally:
            self.leased -= 1

    def flow(self, kind: str):
        def make(plan, settings, **options):
            async def call(*, return_state: bool, **parameters):
                self.calls.append((kind, parameters))
                self.caller = CALLER.get()
                self.tags = set(TagsContext.get().current_tags)
                self.api_url, self.ui_url = PREFECT_API_URL.value(), PREFECT_UI_URL.value()
                assert return_state
                return self.answer(self.caller)

            self.made = call
            return call

        return make


@pytest.fixture
def prefect(monkeypatch) -> Prefect:
    found = Prefect()
    monkeypatch.setattr(connecting, "lease", found.lease)
    monkeypatch.setattr(invoking, "build_flow", found.flow("flow"))
    monkeypatch.setattr(invoking, "build_reference_flow", found.flow("reference"))
    return found


async def call(plan, order, tmp_path, **settings):
    return await invoke(
        plan, order, settings=Settings(home=tmp_path / "home", **settings), outdir=tmp_path / "out", observer=print
    )


class TestCalling:
    async def test_the_prepared_job_order_goes_with_the_caller(self, plan, prefect, tmp_path):
        caller = await call(plan, {"x": "hi"}, tmp_path)
        assert caller.job_order == {"x": "hi", "from": "c"}
        assert prefect.caller is caller
        assert (caller.outdir, caller.observer) == (tmp_path / "out", print)

    async def test_what_was_given_is_shown_as_parameters(self, plan, prefect, tmp_path):
        await call(plan, {"x": "hi", "from": "d", "undeclared": 1}, tmp_path)
        ((kind, parameters),) = prefect.calls
        assert kind == "flow"
        assert sorted(parameters.values()) == ["d", "hi"]
        assert all(name.isidentifier() for name in parameters)

    async def test_a_large_job_order_is_not(self, plan, prefect, tmp_path):
        caller = await call(plan, {"x": "y" * LARGEST_PARAMETERS}, tmp_path)
        ((kind, parameters),) = prefect.calls
        assert kind == "reference"
        assert len(str(parameters)) < 200
        assert len(caller.job_order["x"]) == LARGEST_PARAMETERS

    async def test_a_bad_job_order_needs_no_server(self, plan, prefect, tmp_path):
        with pytest.raises(InputError):
            await call(plan, {}, tmp_path)
        assert prefect.calls == []

    async def test_the_caller_is_forgotten_afterwards(self, plan, prefect, tmp_path):
        await call(plan, {"x": "hi"}, tmp_path)
        assert CALLER.get() is None
        assert prefect.leased == 0


class TestNaming:
    async def test_the_flow_run_has_the_name_and_tags_that_are_wanted(self, plan, prefect, tmp_path):
        settings = Settings(home=tmp_path / "home")
        options = {"outdir": tmp_path / "out", "observer": print, "name": "the {x}", "tags": ("night",)}
        await invoke(plan, {"x": "hi"}, settings=settings, **options)
        assert prefect.made.flow_run_name() == "the {x}"
        assert "night" in prefect.tags
        assert TagsContext.get().current_tags == set()

    async def test_one_that_is_given_no_name_is_named_by_prefect(self, plan, prefect, tmp_path):
        await call(plan, {"x": "hi"}, tmp_path)
        assert not hasattr(prefect.made, "flow_run_name")


class TestServers:
    async def test_a_local_server_is_pointed_to(self, plan, prefect, tmp_path):
        await call(plan, {"x": "hi"}, tmp_path)
        assert (prefect.api_url, prefect.ui_url) == ("http://127.0.0.1:1/api", "http://127.0.0.1:1")

    async def test_what_the_user_configured_is_left_alone(self, plan, prefect, tmp_path):
        before = PREFECT_API_URL.value()
        prefect.ours = False
        await call(plan, {"x": "hi"}, tmp_path)
        assert prefect.api_url == before


class TestFailures:
    def raising(self, error):
        def answer(caller):
            raise error

        return answer

    async def test_a_failed_step_is_among_the_errors(self, plan, prefect, tmp_path):
        error = StepError("broken", step="align")
        prefect.answer = lambda caller: Failed(data=error)
        assert (await call(plan, {"x": "hi"}, tmp_path)).errors == [error]

    async def test_one_that_the_run_told_already_is_not_told_twice(self, plan, prefect, tmp_path):
        first, second = StepError("first"), StepError("second")

        def answer(caller):
            caller.errors.extend([first, second])
            return Failed(data=first)

        prefect.answer = answer
        assert (await call(plan, {"x": "hi"}, tmp_path)).errors == [first, second]

    async def test_a_run_that_takes_too_long_says_how_long(self, plan, prefect, tmp_path):
        prefect.answer = lambda caller: Failed(data=TimeoutError("1.5 second(s)"))
        with pytest.raises(TimeLimitError, match=r"longer than 1\.5 s"):
            await call(plan, {"x": "hi"}, tmp_path, run_timeout_s=1.5)

    @pytest.mark.parametrize("error", [httpx.ConnectError("refused"), CrashedRun("lost")], ids=["client", "prefect"])
    async def test_a_failure_of_the_api_is_one_of_the_server(self, plan, prefect, tmp_path, error):
        prefect.answer = self.raising(error)
        (found,) = (await call(plan, {"x": "hi"}, tmp_path)).errors
        assert isinstance(found, ServerError)
        assert f"Prefect's API failed during the run: {type(error).__name__}: {error}" in str(found)

    async def test_a_failure_of_the_machine_is_no_fault_of_ours(self, plan, prefect, tmp_path):
        prefect.answer = self.raising(OSError(28, "No space left on device", "/full"))
        (found,) = (await call(plan, {"x": "hi"}, tmp_path)).errors
        assert isinstance(found, StepError)
        assert "No space left on device: '/full'" in str(found)

    async def test_a_fault_of_ours_is_raised_as_it_is(self, plan, prefect, tmp_path):
        prefect.answer = self.raising(ZeroDivisionError("ours"))
        with pytest.raises(ZeroDivisionError, match="ours"):
            await call(plan, {"x": "hi"}, tmp_path)
        assert CALLER.get() is None

    async def test_cancelling_is_no_failure(self, plan, prefect, tmp_path):
        prefect.answer = self.raising(asyncio.CancelledError())
        with pytest.raises(asyncio.CancelledError):
            await call(plan, {"x": "hi"}, tmp_path)
        assert CALLER.get() is None

    async def test_without_a_server_nothing_runs(self, plan, prefect, tmp_path, monkeypatch):
        @asynccontextmanager
        async def lease(settings):
            raise ServerError("no server")
            yield

        monkeypatch.setattr(connecting, "lease", lease)
        with pytest.raises(ServerError):
            await call(plan, {"x": "hi"}, tmp_path)
