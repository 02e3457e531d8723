"""Parts whose cost would be felt in a wide or long run: each within a bar of processor time, on an idle machine."""

import asyncio
import io
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from pydantic import TypeAdapter

from cwl_prefect.cli.run.progress import PlainLines
from cwl_prefect.cwl.javascript.engine import install
from cwl_prefect.engine.outputs.publish import publish
from cwl_prefect.engine.records import manifest
from cwl_prefect.engine.records.manifest import Outcome, RunManifest
from cwl_prefect.engine.scheduling.scheduler import ResourcePool, Resources
from cwl_prefect.engine.staging.workspace import run_directory
from cwl_prefect.engine.workflow.dataflow import Dataflow
from cwl_prefect.engine.workflow.scatter import expand
from cwl_prefect.flows.lifecycle.collecting import collect
from cwl_prefect.flows.lifecycle.workdirs import remember
from cwl_prefect.flows.parameters import signature
from cwl_prefect.model.events import Observer, RunStarted, StepEvent, StepEventKind
from cwl_prefect.model.plan import InputPort, OutputPort, Scatter, ScatterMethod
from cwl_prefect.model.usage import Tried, Usage
from cwl_prefect.reports.artifacts import Artifacts
from cwl_prefect.reports.recorder import Recorder
from cwl_prefect.reports.telemetry.observer import Telemetry
from cwl_prefect.runs import listing
from cwl_prefect.runs.listing import Filter
from cwl_prefect.runs.records import RunRecord, StateRecord
from cwl_prefect.settings import Settings
from tests.plans import link, step, workflow
from tests.telemetry import collecting

pytestmark = pytest.mark.bench

MANY = 10_000


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Measure the processor time of this process."""
    began = time.process_time()
    yield
    assert time.process_time() - began < seconds


def test_a_chain_of_many_steps() -> None:
    first = step("s0", link("i", "x"))
    steps = [first, *(step(f"s{number}", link("i", f"s{number - 1}/o")) for number in range(1, MANY))]
    end = OutputPort(id="end", type="Any", link=link("end", f"s{MANY - 1}/o"))
    with within(2):
        flow = Dataflow(workflow(*steps, inputs=(InputPort(id="x", type="int"),), outputs=(end,)), {"x": 0})
        while not flow.finished:
            for each in flow.ready():
                flow.complete(each.id, {"o": flow.step_inputs(each)["i"]})
    assert flow.outputs() == {"end": 0}


def test_a_wide_scatter() -> None:
    with within(1):
        expansion = expand(Scatter(ports=("a",), method=ScatterMethod.DOTPRODUCT), {"a": list(range(MANY)), "big": 1})
        assert sum(element.values["a"] for element in expansion.elements) == sum(range(MANY))


async def test_many_calls_that_wait_for_the_machine() -> None:
    pool = ResourcePool(cores=2, ram_mib=100)

    async def call() -> None:
        async with pool.reserve(Resources(cores=1, ram_mib=1)):
            await asyncio.sleep(0)

    with within(5):
        await asyncio.gather(*(call() for _ in range(MANY)))


def test_progress_of_many_calls() -> None:
    lines = PlainLines(io.StringIO())
    with within(1):
        lines.observe(StepEvent(kind=StepEventKind.PLANNED, step="align", count=MANY))
        for index in range(MANY):
            for kind in (StepEventKind.STARTED, StepEventKind.SUCCEEDED):
                lines.observe(StepEvent(kind=kind, step="align", call=f"align[{index}]"))


def test_many_small_results(tmp_path: Path) -> None:
    run, out = tmp_path / "run", tmp_path / "out"
    run.mkdir()
    files = []
    for number in range(MANY):
        path = run / f"{number}.txt"
        path.write_text("x")
        known = {"basename": path.name, "size": 1, "checksum": "sha1$known"}
        files.append({"class": "File", "location": path.as_uri(), **known})
    with within(10):
        publish({"x": files}, out, move_from=(run,))
    assert len(list(out.iterdir())) == MANY + 1


def test_parameters_with_many_files() -> None:
    port = InputPort(id="x", type={"type": "array", "items": "File"})
    adapter = TypeAdapter(signature(workflow(inputs=(port,))).parameters["x"].annotation)
    with within(0.1):
        adapter.validate_python([{"class": "File", "location": f"file:///data/{number}.fq"} for number in range(MANY)])


def test_a_thousand_expressions() -> None:
    with closing(install(timeout_s=10, memory_mib=64)) as engine:
        engine.eval("(1)")
        began = time.perf_counter()  # another process evaluates
        for number in range(1000):
            engine.eval("(inputs.n + 1)", f'var inputs = {{"n": {number}}};')
        assert time.perf_counter() - began < 5


@pytest.fixture
def history(tmp_path: Path) -> list[str]:
    """A thousand runs that were killed, in one directory."""
    ids = [str(uuid4()) for _ in range(1000)]
    for run_id in ids:
        left_by_killed(Settings(home=tmp_path, workdir=tmp_path / "work-0"), run_id)
    return ids


def left_by_killed(settings: Settings, run_id: str) -> None:
    directory = run_directory(settings.runs, run_id)
    directory.mkdir(parents=True)
    remember(settings)
    found = RunManifest(run_id=run_id, name=run_id, workflow="w", plan="p", job_order={"x": "y" * 500})
    manifest.write(directory, found.ended_as(Outcome.FAILED))


def test_collecting_a_long_history_costs_little_more_than_to_read_it(tmp_path: Path, history: list[str]) -> None:
    settings = Settings(home=tmp_path, workdir=tmp_path / "work-0")
    began = time.process_time()
    assert len(list(manifest.read_all(settings.runs))) == len(history)
    read_s = time.process_time() - began
    with within(5 * read_s):
        assert collect(settings).marked == []


async def test_several_directories_of_runs_cost_little_more_than_one(tmp_path: Path, history: list[str]) -> None:
    settings = Settings(home=tmp_path)

    async def ask(question: dict) -> list[RunRecord]:
        page = history[question["offset"] :][: question["limit"]]
        return [RunRecord(id=UUID(one), name="a", state=StateRecord(type="RUNNING", name="Running")) for one in page]

    async def looked_s() -> float:
        began = time.process_time()
        assert len(await listing.lines(ask, settings, Filter(), 1000)) == 1000
        assert collect(settings).marked == []
        return time.process_time() - began

    await looked_s()  # the first look also loads modules
    in_one_s = min([await looked_s() for _ in range(2)])
    for number in range(1, 20):
        left_by_killed(Settings(home=tmp_path, workdir=tmp_path / f"work-{number}"), str(uuid4()))
    assert min([await looked_s() for _ in range(2)]) < 5 * in_one_s


def calls_that_ended(count: int) -> Iterator[StepEvent]:
    """Yield what observers are told of calls that each ran a command."""
    for number in range(count):
        about = {"step": "align", "call": f"align[{number}]"}
        yield StepEvent(kind=StepEventKind.STARTED, **about)
        at = 1000.0 + number
        tried = Tried(
            number=1,
            backend="local",
            cores=1,
            ram_mib=256,
            prepared_at=at,
            ready_at=at,
            started_at=at,
            ended_at=at + 1,
            collected_at=at + 1,
            exit_code=0,
            usage=Usage(cpu_s=0.5, peak_memory_mib=20.0),
        )
        yield StepEvent(kind=StepEventKind.SUCCEEDED, tried=tried, inputs={"x": number}, outputs={"o": "y"}, **about)


@pytest.mark.parametrize("observer", [Recorder, Artifacts])
def test_recording_many_calls(tmp_path: Path, observer: Callable[[], Observer]) -> None:
    observing, events = observer(), list(calls_that_ended(MANY))
    observing(
        RunStarted(flow_run_id=str(uuid4()), name="n", url=None, plan=workflow(), settings=Settings(home=tmp_path))
    )
    with within(1.5):
        for event in events:
            observing(event)


async def test_sending_spans_and_metrics_of_many_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        sending, events = Telemetry(), list(calls_that_ended(MANY // 10))
        sending(RunStarted(flow_run_id=str(uuid4()), name="n", url=None))
        with within(0.6):  # with the collector, which is in this process
            for event in events:
                sending(event)
            await sending.aclose()
        assert len(collector.spans) == MANY // 10
