import asyncio
import contextlib
from uuid import uuid4

import httpx
import pytest
from prefect.client.schemas.objects import TaskRunResult
from prefect.states import Completed, Failed
from prefect.utilities.engine import collect_task_run_inputs

from cwl_prefect.errors import ServerError, StepError
from cwl_prefect.flows.execution import nested
from cwl_prefect.flows.execution.nested import LARGEST_SHOWN, count_unscattered, run_nested
from cwl_prefect.flows.execution.task_runs import edges_from
from cwl_prefect.flows.prefect_names import flow_name
from tests.unit.documents import plan_of
from tests.unit.flows.driving import graph, subworkflow

DEEP = subworkflow("deep", "inputs: {t: string}\noutputs: {}\nsteps:\n  say: {run: '#say', in: {x: t}, out: [o]}\n")
MIDDLE = subworkflow(
    "middle", "inputs: {t: string}\noutputs: {}\nsteps:\n  deep: {run: '#deep', in: {t: t}, out: []}\n"
)


def plan(body: str):
    return plan_of(graph(body, DEEP, MIDDLE))


class TestCounting:
    @pytest.mark.parametrize(
        ("steps", "count"),
        [
            ("{}", 0),
            ("{a: {run: '#say', in: {x: n}, out: [o]}}", 0),
            ("{a: {run: '#deep', in: {t: n}, out: []}}", 1),
            ("{a: {run: '#middle', in: {t: n}, out: []}, b: {run: '#deep', in: {t: n}, out: []}}", 3),
            ("{a: {run: '#middle', scatter: t, in: {t: ns}, out: []}}", 0),
        ],
        ids=["none", "tools", "one", "at-any-depth", "scattered-ones-do-not-count"],
    )
    def test_what_runs_once_is_counted(self, steps, count):
        body = f"inputs: {{n: string, ns: 'string[]'}}\noutputs: {{}}\nsteps: {steps}"
        assert count_unscattered(plan(body)) == count


@pytest.mark.parametrize(("name", "spelt"), [("a b-c", "a b-c"), ("a/b%c&d<e>", "a_b_c_d_e_")])
def test_a_flow_s_name_has_no_forbidden_characters(name, spelt):
    assert flow_name(name) == spelt


class FakeFlow:
    """Calls its function at once and gives its end as a state."""

    made: list["FakeFlow"]

    def __init__(self, function, **options) -> None:
        self._function = function
        self.options = options
        self.called: dict = {}
        self.made.append(self)

    async def __call__(self, **options):
        self.called = options
        try:
            return Completed(data=await self._function(options["inputs"]))
        except StepError as error:
            return Failed(data=error)


@pytest.fixture
def made(monkeypatch) -> list[FakeFlow]:
    found: list[FakeFlow] = []
    monkeypatch.setattr(FakeFlow, "made", found, raising=False)
    monkeypatch.setattr(nested, "Flow", FakeFlow)
    return found


def unreachable(monkeypatch: pytest.MonkeyPatch, *, ran: bool) -> None:
    """Let Prefect lose its API before or after it calls a flow's function."""

    def flow(function, **_):
        async def call(inputs, **_):
            if ran:
                with contextlib.suppress(StepError):
                    await function(inputs)
            raise httpx.ConnectError("away")

        return call

    monkeypatch.setattr(nested, "Flow", flow)


class TestRunning:
    async def test_it_is_named_after_its_place_and_all_are_runs_of_one_flow(self, made):
        async def drive():
            return {"r": "hi"}, ()

        outputs, (state,) = await run_nested({"t": "hi"}, drive, name="prepare[2].deep")
        assert outputs == {"r": "hi"}
        assert await state.aresult() == {"r": "hi"}
        assert made[0].options["name"] == "subworkflow"
        assert made[0].options["flow_run_name"] == "prepare[2].deep"

    async def test_what_reads_from_it_is_connected_to_it(self, made, monkeypatch):
        ended = Completed(data={}, state_details={"flow_run_id": uuid4(), "task_run_id": uuid4()})
        monkeypatch.setattr(nested, "Flow", lambda *_, **__: lambda **_: asyncio.sleep(0, ended))
        _, after = await run_nested({}, asyncio.sleep, name="deep")
        assert await collect_task_run_inputs(edges_from(after)) == {TaskRunResult(id=ended.state_details.flow_run_id)}

    async def test_it_comes_after_what_it_uses(self, made):
        before = Completed(name="before")

        async def drive():
            return {}, ()

        await run_nested({}, drive, name="deep", after=(before,))
        assert made[0].called["wait_for"] == [before]

    async def test_a_failure_is_raised_as_it_was(self, made):
        error = StepError("broken", step="deep.say")

        async def drive():
            raise error

        with pytest.raises(StepError) as found:
            await run_nested({}, drive, name="deep")
        assert found.value is error

    @pytest.mark.parametrize("ran", [False, True], ids=["before it began", "when it had ended"])
    async def test_it_runs_once_and_has_its_outputs_although_the_api_fails(self, monkeypatch, caplog, ran):
        driven = []

        async def drive():
            driven.append(True)
            return {"r": "hi"}, ()

        unreachable(monkeypatch, ran=ran)
        assert await run_nested({}, drive, name="deep") == ({"r": "hi"}, ())
        assert driven == [True]
        assert "the flow run of deep could not be recorded: ConnectError: away" in caplog.text

    async def test_a_failure_is_not_tried_again_although_the_api_fails(self, monkeypatch):
        driven = []

        async def drive():
            driven.append(True)
            raise StepError("broken", step="deep.say")

        unreachable(monkeypatch, ran=True)
        with pytest.raises(ServerError):
            await run_nested({}, drive, name="deep")
        assert driven == [True]

    async def test_large_inputs_are_driven_but_not_shown(self, made):
        text = "x" * LARGEST_SHOWN

        async def drive():
            return {"t": text}, ()

        outputs, _ = await run_nested({"t": text}, drive, name="deep")
        assert outputs == {"t": text}
        assert made[0].called["inputs"] == {"t": "(too large to be shown)"}
