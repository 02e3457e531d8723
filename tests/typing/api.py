"""What a user writes against the public API must type-check; mypy reads this file, nothing runs it."""

from collections.abc import Mapping
from pathlib import Path
from typing import assert_type

from prefect import Flow
from pydantic import JsonValue

import cwl_prefect
from cwl_prefect import (
    Callback,
    CwlPrefectError,
    FakeBackend,
    Happening,
    Level,
    Moment,
    RunResult,
    RunStatus,
    Settings,
    Workflow,
    deploy,
    load_flow,
    load_plan,
    resume,
    run,
    run_sync,
)
from cwl_prefect.deployments.deployment import DeploymentResult
from cwl_prefect.errors import StepError
from cwl_prefect.model.plan import StepPlan, WorkflowPlan
from cwl_prefect.model.values import CwlObject
from cwl_prefect.settings import BackendName, OnError


async def runs_a_document_with_settings(document: Path, job_order: str | None) -> Mapping[str, JsonValue]:
    """Everything about a run has a type."""
    settings = Settings(backend=BackendName.LOCAL, on_error=OnError.CONTINUE, max_cores=2, max_ram_mib=4096)
    plan = load_plan(document, settings=settings)
    assert_type(plan, WorkflowPlan)
    assert_type(plan.steps, tuple[StepPlan, ...])
    await run(plan, {"message": "hi"})
    result = await run(document, job_order, settings=settings, outdir=Path("results"), name="nightly", tags=["night"])
    assert_type(result, RunResult)
    assert_type(result.status, RunStatus)
    assert_type(result.outputs, CwlObject)
    assert_type(result.errors, tuple[CwlPrefectError, ...])
    assert_type(result.url, str | None)
    return result.outputs


def makes_a_workflow(tool: Path) -> str:
    """Steps are typed, and a workflow is taken in place of a document."""
    made = (
        Workflow("made").input("xs", "string[]").step("say", tool, inputs={"x": "xs", "n": {"default": 5}}, scatter="x")
    )
    made = Workflow("outer").step("made", made, scatter=["a", "b"], scatter_method="flat_crossproduct")
    assert_type(load_flow(made).run_sync(), CwlObject)
    return made.output("o", ["made/o", "made/p"], "File[]").to_cwl()


def runs_a_document_from_plain_code(document: Path) -> Mapping[str, JsonValue]:
    """Files are given as paths or objects, in mappings and by name."""
    result = run_sync(document, {"reads": [Path("a.fq"), {"class": "File", "path": Path("b.fq")}]})
    assert_type(result, RunResult)
    flow = load_flow(document)
    assert_type(flow.run_sync("inputs.yml", most=3), CwlObject)
    return flow.run_sync(reads=["a.fq"])


async def calls_a_document_as_a_flow(document: str) -> None:
    """A document is a flow, whatever its inputs are named."""
    flow = load_flow(document)
    assert isinstance(flow, Flow)
    assert_type(await flow({"message": "hi"}), CwlObject)
    await flow(message="hi", reads=["a.fq", "b.fq"])
    await load_flow(load_plan(document), settings=Settings())(message="hi")


def tells_failures_apart(error: CwlPrefectError) -> int:
    """Errors carry data."""
    assert_type(error.hint, str | None)
    if isinstance(error, StepError):
        assert_type(error.step, str | None)
        assert_type(error.exit_status, int | None)
    return error.exit_code


async def goes_on_with_a_run(result: RunResult) -> RunStatus:
    """A run that failed is resumed by its identifier."""
    again = await resume(result.flow_run_id or "nightly", settings=Settings())
    return again.status


async def deploys_a_document(document: Path) -> str:
    """A deployment says how it is called."""
    made = await deploy(document, pool="here", parameters={"message": "hi"}, job_variables={"env": {"A": "1"}})
    assert_type(made, DeploymentResult)
    return made.full_name


def is_called_back(happening: Happening) -> Callback:
    """Callbacks take functions."""
    assert_type(happening.moment, Moment)
    return Callback(action=print, on=frozenset({Moment.RETRY}), level=Level.CALL)


def tests_without_running_anything() -> FakeBackend:
    """The fake backend takes a function from a job to its exit code."""
    return FakeBackend(handler=lambda job: 0 if job.command[0] == "echo" else 7)


assert_type(cwl_prefect.__version__, str)
