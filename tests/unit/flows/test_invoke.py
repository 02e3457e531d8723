import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager
from uuid import UUID

import httpx
import pytest
from prefect.context import TagsContext
from prefect.exceptions import CrashedRun
from prefect.settings import PREFECT_API_URL, PREFECT_UI_URL
from prefect.states import Cancelled, Completed, Crashed, Failed, State
from prefect.utilities.annotations import quote

from cwl_prefect.engine.records.manifest import Outcome
from cwl_prefect.errors import (
    CwlPrefectError,
    InputError,
    InterruptedRunError,
    ServerError,
    StepError,
    TimeLimitError,
    UsageError,
)
from cwl_prefect.flows import invoke as invoking
from cwl_prefect.flows import session as connecting
from cwl_prefect.flows.execution.run import RunReport, RunRequest
from cwl_prefect.flows.invoke import LARGEST_PARAMETERS, invoke
from cwl_prefect.server.local_server import ApiEndpoint
from cwl_prefect.settings import Settings
from tests.unit.documents import plan_of

DOCUMENT = """
cwlVersion: v1.2
class: Workflow
inputs: {x: string, from: {type: string, default: c}}
outputs: {r: {type: string, outputSource: x}}
steps: []
"""


@pytest.fixture
def plan():
    return plan_of(DOCUMENT)


def reporting(state: Callable[..., State], *errors: CwlPrefectError) -> State:
    """Give the last state of a run with its report, as its flow does."""
    outcome = Outcome.FAILED if errors else Outcome.COMPLETED
    return state(data=quote(RunReport(outcome=outcome, errors=errors, callback_failures=2)))


class Prefect:
    """Stands for Prefect: a leased server, and flows that give a state of the test's choice."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict]] = []
        self.request: RunRequest | None = None
        self.api_url = None
        self.ui_url = None
        self.leased = 0
        self.made = None
        self.tags: set[str] = set()
        self.ours = True
        self.answer = lambda: reporting(Completed)

    @asynccontextmanager
    async def lease(self, settings):
        self.leased += 1
        try:
            yield ApiEndpoint(url="http://127.0.0.1:1/api", ui_url="http://127.0.0.1:1", ours=self.ours, started=False)
        finally:
            self.leased -= 1

    def flow(self, plan, request, *, shown):
        self.request = request

        async def call(*, return_state: bool, **parameters):
            self.calls.append(("inputs" if shown else "reference", parameters))
            self.tags = set(TagsContext.get().current_tags)
            self.api_url, self.ui_url = PREFECT_API_URL.value(), PREFECT_UI_URL.value()
            assert return_state
            return self.answer()

        self.made = call
        return call


@pytest.fixture
def prefect(monkeypatch) -> Prefect:
    found = Prefect()
    monkeypatch.setattr(connecting, "lease", found.lease)
    monkeypatch.setattr(invoking, "build_requested_flow", found.flow)
    return found


async def call(plan, order, tmp_path, **settings):
    return await invoke(
        plan, order, settings=Settings(home=tmp_path / "home", **settings), outdir=tmp_path / "out", observers=[print]
    )


class TestCalling:
    async def test_the_flow_is_of_what_was_requested_with_the_prepared_job_order(self, plan, prefect, tmp_path):
        await call(plan, {"x": "hi"}, tmp_path)
        assert prefect.request.job_order == {"x": "hi", "from": "c"}
        assert (prefect.request.outdir, prefect.request.observers) == (tmp_path / "out", (print,))

    async def test_the_report_of_the_flow_is_returned(self, plan, prefect, tmp_path):
        report = await call(plan, {"x": "hi"}, tmp_path)
        assert (report.outcome, report.callback_failures) == (Outcome.COMPLETED, 2)

    async def test_what_was_given_is_shown_as_parameters(self, plan, prefect, tmp_path):
        await call(plan, {"x": "hi", "from": "d", "undeclared": 1}, tmp_path)
        ((kind, parameters),) = prefect.calls
        assert kind == "inputs"
        assert sorted(parameters.values()) == ["d", "hi"]
        assert all(name.isidentifier() for name in parameters)

    async def test_bytes_that_are_no_text_are_not_shown_but_used(self, plan, prefect, tmp_path):
        await call(plan, {"x": "a\udce9"}, tmp_path)
        ((_, parameters),) = prefect.calls
        assert "a?" in parameters.values()
        assert prefect.request.job_order["x"] == "a\udce9"

    async def test_a_large_job_order_is_not(self, plan, prefect, tmp_path):
        await call(plan, {"x": "y" * LARGEST_PARAMETERS}, tmp_path)
        ((kind, parameters),) = prefect.calls
        assert kind == "reference"
        assert len(str(parameters)) < 200
        assert len(prefect.request.job_order["x"]) == LARGEST_PARAMETERS

    async def test_a_bad_job_order_needs_no_server(self, plan, prefect, tmp_path):
        with pytest.raises(InputError):
            await call(plan, {}, tmp_path)
        assert prefect.calls == []

    async def test_the_server_is_given_back_afterwards(self, plan, prefect, tmp_path):
        await call(plan, {"x": "hi"}, tmp_path)
        assert prefect.leased == 0


class TestNaming:
    async def test_the_flow_run_has_the_name_and_tags_that_are_wanted(self, plan, prefect, tmp_path):
        settings = Settings(home=tmp_path / "home")
        options = {"outdir": tmp_path / "out", "observers": [print], "name": "the {x}", "tags": ("night",)}
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
        def answer():
            raise error

        return answer

    async def test_failed_steps_are_reported(self, plan, prefect, tmp_path):
        first, second = StepError("first", step="align"), StepError("second")
        prefect.answer = lambda: reporting(Failed, first, second)
        report = await call(plan, {"x": "hi"}, tmp_path)
        assert (report.outcome, report.errors) == (Outcome.FAILED, (first, second))

    @pytest.mark.parametrize(
        ("state", "kind"),
        [
            (Failed(data=UsageError("no such pool")), UsageError),
            (Cancelled(), InterruptedRunError),
            (Crashed(message="gone"), ServerError),
            (Completed(data={}), ServerError),
        ],
        ids=["could-not-begin", "cancelled", "crashed", "ended-elsewhere"],
    )
    async def test_a_run_that_gave_no_report_has_failed_as_its_state_says(self, plan, prefect, tmp_path, state, kind):
        state.state_details.flow_run_id = UUID(int=7)
        prefect.answer = lambda: state
        report = await call(plan, {"x": "hi"}, tmp_path)
        assert (report.outcome, [type(error) for error in report.errors]) == (Outcome.FAILED, [kind])
        assert report.flow_run_id == str(UUID(int=7))
        assert report.url == f"http://127.0.0.1:1/runs/flow-run/{UUID(int=7)}"

    async def test_a_run_that_takes_too_long_says_how_long(self, plan, prefect, tmp_path):
        prefect.answer = lambda: Failed(data=TimeoutError("1.5 second(s)"))
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

    async def test_cancelling_is_no_failure(self, plan, prefect, tmp_path):
        prefect.answer = self.raising(asyncio.CancelledError())
        with pytest.raises(asyncio.CancelledError):
            await call(plan, {"x": "hi"}, tmp_path)

    async def test_without_a_server_nothing_runs(self, plan, prefect, tmp_path, monkeypatch):
        @asynccontextmanager
        async def lease(settings):
            raise ServerError("no server")
            yield

        monkeypatch.setattr(connecting, "lease", lease)
        with pytest.raises(ServerError):
            await call(plan, {"x": "hi"}, tmp_path)
