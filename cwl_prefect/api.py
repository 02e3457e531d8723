"""What a Python user imports: compile, load, run.

Example:
    ::

        from cwl_prefect import load_flow

        flow = load_flow("workflow.cwl")
        outputs = await flow(message="hi")
"""

import urllib.parse
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue

from cwl_prefect.backends.base import Backend
from cwl_prefect.errors import CwlPrefectError
from cwl_prefect.model.callbacks import Callback
from cwl_prefect.model.events import Observer
from cwl_prefect.model.plan import WorkflowPlan
from cwl_prefect.model.values import CwlObject
from cwl_prefect.settings import OnError, Settings

if TYPE_CHECKING:
    from prefect import Flow

    from cwl_prefect.flows.run import Caller


OVERRIDES = frozenset({"cwl:requirements", "cwltool:overrides"})


class RunStatus(StrEnum):
    """How a run ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    PARTIAL = "partial"  # on_error=continue: something failed, the outputs that exist were published


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What a run gave.

    Attributes:
        status: How it ended.
        outputs: The CWL output object; what failed is null where status is partial, and it is empty where it is failed.
        flow_run_id: Identifier of the Prefect flow run, or None where none was made.
        url: Its page in the Prefect UI, where there is one.
        errors: Why it failed.
        callback_failures: How many callbacks failed, which changes nothing else.
    """

    status: RunStatus
    outputs: CwlObject
    flow_run_id: str | None
    url: str | None
    errors: tuple[CwlPrefectError, ...]
    callback_failures: int = 0


def compile_document(
    document: str | Path, *, job_order: Mapping[str, JsonValue] | None = None, settings: Settings | None = None
) -> WorkflowPlan:
    """Compile a CWL document into a plan.

    Args:
        document: Path or URL, with ``#id`` for a part of a packed document.
        job_order: A job order whose ``cwl:requirements`` and ``cwltool:overrides`` apply.
        settings: Settings; from the environment where none are given.

    Raises:
        DocumentError: It cannot be read or is not valid CWL.
        UnsupportedError: It requires a feature that this runner does not have.
    """
    from cwl_prefect.cwl.compile import compile_process
    from cwl_prefect.cwl.load import load_process, translated_errors

    del settings
    process = load_process(str(document), defaults=job_order)
    with translated_errors(str(document)):
        return compile_process(process, origin=str(document))


def compile_processes(document: str | Path) -> tuple[WorkflowPlan, ...]:
    """Compile what a document holds: one process, or all of a graph of several of which none is named and none is main.

    Raises:
        DocumentError: It cannot be read, or one of them is not valid CWL.
        UnsupportedError: One requires a feature that this runner does not have.
    """
    from cwl_prefect.cwl.compile import compile_process
    from cwl_prefect.cwl.load import load_processes, translated_errors

    processes = load_processes(str(document))
    with translated_errors(str(document)):
        return tuple(compile_process(process, origin=str(document)) for process in processes)


def load_plan(
    document: str | Path, *, job_order: Mapping[str, JsonValue] | None = None, settings: Settings | None = None
) -> WorkflowPlan:
    """Load the plan of a document, compiling it only if it or anything it refers to changed.

    Args:
        document: A CWL document, or a plan that ``cwl-prefect compile`` wrote.
        job_order: A job order whose ``cwl:requirements`` and ``cwltool:overrides`` apply; with any, nothing is cached.
        settings: Settings; from the environment where none are given.

    Raises:
        DocumentError: It cannot be read or is not valid CWL.
        UnsupportedError: It requires a feature that this runner does not have.
    """
    from cwl_prefect.cwl.plans import cached_plan, read_plan

    chosen = settings or Settings()
    plan = read_plan(document)
    if plan is not None:
        return plan
    overridden = job_order is not None and not OVERRIDES.isdisjoint(job_order)
    if overridden or not chosen.plan_cache:
        return compile_document(document, job_order=job_order)
    return cached_plan(str(document), chosen.plans)


def read_job_order(plan: WorkflowPlan, source: str | Path | None) -> CwlObject:
    """Read a job order from a YAML or JSON file or URL; relative paths in it start from its directory.

    The text ``-`` stands for the standard input, where they start from the current directory.

    Raises:
        InputError: It cannot be read or is not a mapping.
    """
    from cwl_prefect.cwl.job_orders import load_job_order, received_job_order

    del plan
    if source == "-":
        return received_job_order()
    return {} if source is None else load_job_order(source)


def unknown_inputs(plan: WorkflowPlan, job_order: Mapping[str, JsonValue]) -> dict[str, str | None]:
    """Give the keys of a job order that name no input, each with the input whose name is nearest, or None."""
    from cwl_prefect.cwl import inputs

    return inputs.unknown_inputs(plan, job_order)


def document_of(source: str | Path) -> str | None:
    """Give the document that a job order names as ``cwl:tool``, resolved, or None."""
    from cwl_prefect.cwl.inputs import parse_job_order
    from cwl_prefect.cwl.job_orders import read_text

    text, base = read_text(source)
    if "cwl:tool" not in text:
        return None
    named = parse_job_order(text, source=str(source)).get("cwl:tool")
    return urllib.parse.urljoin(base, named) if isinstance(named, str) else None


def build_flow(
    plan: WorkflowPlan,
    *,
    settings: Settings | None = None,
    backend: Backend | None = None,
    callbacks: Sequence[Callback] = (),
) -> "Flow[..., Coroutine[Any, Any, CwlObject]]":
    """Build the Prefect flow of a plan; its parameters are the workflow's inputs.

    Args:
        plan: What the flow runs.
        settings: Settings; from the environment where none are given.
        backend: Runs every tool call, as a FakeBackend does in tests; chosen by the settings where none is given.
        callbacks: What to call when something happens.
    """
    from cwl_prefect.flows.build import build_flow as build

    return build(plan, settings or Settings(), backend=backend, callbacks=callbacks)


def load_flow(
    document: str | Path,
    *,
    settings: Settings | None = None,
    backend: Backend | None = None,
    callbacks: Sequence[Callback] = (),
) -> "Flow[..., Coroutine[Any, Any, CwlObject]]":
    """Load a CWL document as a Prefect flow, to be awaited or called from another flow.

    Args:
        document: A CWL document, or a plan that ``cwl-prefect compile`` wrote.
        settings: Settings; from the environment where none are given.
        backend: Runs every tool call, as a FakeBackend does in tests; chosen by the settings where none is given.
        callbacks: What to call when something happens.

    Raises:
        DocumentError: The document cannot be read or is not valid CWL.
        UnsupportedError: It requires a feature that this runner does not have.
    """
    return build_flow(load_plan(document, settings=settings), settings=settings, backend=backend, callbacks=callbacks)


async def run(  # noqa: PLR0913 - all that a caller may choose
    plan: WorkflowPlan,
    job_order: Mapping[str, JsonValue],
    *,
    settings: Settings | None = None,
    outdir: Path | None = None,
    observer: Observer | None = None,
    backend: Backend | None = None,
    callbacks: Sequence[Callback] = (),
    name: str | None = None,
    tags: Sequence[str] = (),
) -> RunResult:
    """Run a plan as a Prefect flow run, on the API that is configured or else on a local server.

    Args:
        plan: What to run.
        job_order: Values of its inputs; file locations are absolute URIs.
        settings: Settings; from the environment where none are given.
        outdir: Where outputs are published; a directory of the run where it is not given.
        observer: Told what happens.
        backend: Runs every tool call, as a FakeBackend does in tests; chosen by the settings where none is given.
        callbacks: What to call when something happens.
        name: Name of the flow run; Prefect makes one up where none is given.
        tags: Tags of the flow run.

    Raises:
        InputError: The job order does not fit.
        ServerError: No Prefect API can be reached or started.
    """
    from cwl_prefect.flows.invoke import invoke

    chosen = settings or Settings()
    caller = await invoke(
        plan,
        job_order,
        settings=chosen,
        outdir=outdir,
        observer=observer,
        backend=backend,
        callbacks=callbacks,
        name=name,
        tags=tags,
    )
    return _result(caller)


async def resume(
    run: str, *, settings: Settings | None = None, observer: Observer | None = None, backend: Backend | None = None
) -> RunResult:
    """Run again what a run did not finish, as the same flow run.

    What finished is found in the call cache; what still runs, or ended after its driver was killed, is adopted.

    Args:
        run: Name of the run, its flow run id, or the beginning of the id.
        settings: Say where its workspaces are; what the run was started with goes over them.
        observer: Told what happens.
        backend: Runs every tool call; chosen by the settings where none is given.

    Raises:
        InputError: Nothing is known of it here, it is running, or it is complete.
        DocumentError: Its plan cannot be read.
        ServerError: No Prefect API can be reached or started.
    """
    from cwl_prefect.flows import resuming

    chosen = settings or Settings()
    found = resuming.find(run, chosen)
    caller = await resuming.resume(found, settings=chosen, observer=observer, backend=backend)
    return _result(caller)


def _result(caller: "Caller") -> RunResult:
    return RunResult(
        status=_status(caller.errors, caller.settings),
        outputs=caller.outputs,
        flow_run_id=caller.flow_run_id,
        url=caller.url,
        errors=tuple(caller.errors),
        callback_failures=caller.callback_failures,
    )


def _status(errors: Sequence[CwlPrefectError], settings: Settings) -> RunStatus:
    if not errors:
        return RunStatus.COMPLETED
    return RunStatus.PARTIAL if settings.on_error is OnError.CONTINUE else RunStatus.FAILED
