"""What a Python user imports, by ``from cwl_prefect import ...``; the functions beside are what the commands call."""

import asyncio
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypedDict, Unpack, cast

from pydantic import JsonValue

from cwl_prefect._lib.synchronous import awaited
from cwl_prefect._lib.uris import directory_uri
from cwl_prefect.backends.base import Backend
from cwl_prefect.backends.fake import FakeBackend
from cwl_prefect.engine.workflow.builder import Workflow
from cwl_prefect.errors import CwlPrefectError
from cwl_prefect.model.callbacks import Callback, Happening, Level, Moment
from cwl_prefect.model.deployment import DeploymentOptions
from cwl_prefect.model.events import (
    Observers,
    RunEnded,
    RunObserver,
    RunStarted,
    RunState,
    StepEnded,
    StepEvent,
    StepEventKind,
)
from cwl_prefect.model.output_types import Directory, File, Outputs
from cwl_prefect.model.overrides import OVERRIDES
from cwl_prefect.model.plan import WorkflowPlan
from cwl_prefect.model.values import CwlObject, JobOrder, WrittenJobOrder
from cwl_prefect.reports.result import RunResult, RunStatus
from cwl_prefect.settings import Settings
from cwl_prefect.storage.services.registries import located

if TYPE_CHECKING:
    from cwl_prefect.cwl.checking.validate import Checked
    from cwl_prefect.deployments.deployment import DeploymentResult
    from cwl_prefect.flows.flow import CwlFlow

__all__ = [
    "Callback",
    "CwlPrefectError",
    "Directory",
    "FakeBackend",
    "File",
    "Happening",
    "Level",
    "Moment",
    "RunEnded",
    "RunObserver",
    "RunResult",
    "RunStarted",
    "RunState",
    "RunStatus",
    "Settings",
    "StepEnded",
    "StepEvent",
    "StepEventKind",
    "Workflow",
    "deploy",
    "load_flow",
    "load_plan",
    "resume",
    "run",
    "run_sync",
]

Document: TypeAlias = str | Path | WorkflowPlan | Workflow
"""Path, URL or TRS id of a CWL document, path of a plan of ``cwl-prefect compile``, a plan, or a workflow of Python."""


def compile_document(document: str | Path, *, job_order: Mapping[str, JsonValue] | None = None) -> WorkflowPlan:
    """Compile a CWL document into a plan.

    Args:
        document: Path or URL, with ``#id`` for a part of a packed document.
        job_order: A job order whose ``cwl:requirements`` and ``cwltool:overrides`` apply.

    Raises:
        DocumentError: It cannot be read or is not valid CWL.
        UnsupportedError: It requires a feature that this runner does not have.
    """
    from cwl_prefect.cwl.loading.plans import compiled_plan

    return compiled_plan(located(str(document), Settings().trs_root), job_order)


def check_document(document: str | Path, *, images: bool = False) -> "Checked":
    """Check a document, and everything it refers to, without running anything.

    Of a graph of several processes of which none is named and none is main, all are checked.

    Args:
        document: Path or URL, with ``#id`` for a part of a packed document.
        images: Whether each tool has to name an image.
    """
    from cwl_prefect.cwl.checking.validate import check_document as check

    return check(located(str(document), Settings().trs_root), images=images)


def load_plan(
    document: str | Path | Workflow,
    *,
    job_order: Mapping[str, JsonValue] | None = None,
    settings: Settings | None = None,
) -> WorkflowPlan:
    """Load the plan of a document, compiling it only if it or anything it refers to changed.

    Args:
        document: A CWL document, a plan that ``cwl-prefect compile`` wrote, or a workflow made in Python.
        job_order: A job order whose ``cwl:requirements`` and ``cwltool:overrides`` apply; with any, nothing is cached.
        settings: Settings; from the environment where none are given.

    Raises:
        DocumentError: It cannot be read or is not valid CWL.
        UnsupportedError: It requires a feature that this runner does not have.

    Examples:
        >>> from cwl_prefect import load_plan
        >>> plan = load_plan("examples/cwl/hello/hello.cwl")
        >>> plan.name, [port.id for port in plan.inputs]
        ('hello', ['message'])
    """
    from cwl_prefect.cwl.loading.plans import loaded_plan
    from cwl_prefect.engine.workflow.stages import with_stages

    chosen = settings or Settings()
    kept = chosen.plans if chosen.plan_cache else None
    if isinstance(document, Workflow):
        from cwl_prefect.cwl.access.open_texts import in_editor

        path = Path.cwd() / f"{document.name}.cwl"  # from where the paths of its tools start
        with in_editor({path: document.to_cwl()}):
            plan = replace(compile_document(path, job_order=job_order), as_written=False)
    else:
        plan = loaded_plan(located(str(document), chosen.trs_root), job_order, kept, untrusted=chosen.untrusted)
    tools = (chosen.directory_stage_in, chosen.directory_stage_out)
    return with_stages(plan, *(None if tool is None else loaded_plan(str(tool), None, kept) for tool in tools))


def read_job_order(source: str | Path | None) -> CwlObject:
    """Read a job order from a YAML or JSON file or URL; relative paths in it start from its directory.

    The text ``-`` stands for the standard input, where they start from the current directory.

    Raises:
        InputError: It cannot be read or is not a mapping.
    """
    from cwl_prefect.cwl.binding.job_orders import load_job_order, received_job_order

    if source == "-":
        return received_job_order()
    return {} if source is None else load_job_order(source)


def document_of(source: str | Path) -> str | None:
    """Return the document that a job order names as ``cwl:tool``, resolved, or None."""
    from cwl_prefect.cwl.binding.inputs import parse_job_order
    from cwl_prefect.cwl.binding.job_orders import read_text

    text, base = read_text(source)
    if "cwl:tool" not in text:
        return None
    named = parse_job_order(text, source=str(source)).get("cwl:tool")
    return urllib.parse.urljoin(base, named) if isinstance(named, str) else None


def load_flow(
    document: Document,
    *,
    settings: Settings | None = None,
    backend: Backend | None = None,
    callbacks: Sequence[Callback] = (),
    observers: Observers = (),
    outputs: type[Outputs] | None = None,
) -> "CwlFlow[Outputs]":
    """Load a CWL document as a Prefect flow, to be awaited, called from another flow, deployed or served.

    A call takes inputs by name, a mapping of them, or a job order file, as :func:`run` does. Code that cannot await
    has ``flow.run_sync(…)``.

    Args:
        document: A CWL document, a plan that ``cwl-prefect compile`` wrote, or one that :func:`load_plan` returned.
        settings: Settings; from the environment where none are given.
        backend: Runs every tool call, as a FakeBackend does in tests; chosen by the settings where none is given.
        callbacks: What to call when something happens.
        observers: Told what happens; of a class each run gets its own.
        outputs: Type of its output object, as ``cwl-prefect types`` writes it; any CWL object where none is given.

    Raises:
        DocumentError: The document cannot be read or is not valid CWL.
        UnsupportedError: It requires a feature that this runner does not have.
        UsageError: The type of its outputs has not the outputs that it has.

    Examples:
        >>> from cwl_prefect import FakeBackend, load_flow
        >>> flow = load_flow("examples/cwl/hello/hello.cwl", backend=FakeBackend())
        >>> outputs = flow.run_sync(message="hi")
        >>> outputs["greeting"]["basename"]
        'greeting.txt'
    """
    from cwl_prefect.flows.build import build_flow
    from cwl_prefect.flows.parameters import demand_outputs

    chosen = settings or Settings()
    plan = _plan(document, chosen)
    demand_outputs(plan, outputs)
    made = build_flow(plan, chosen, backend=backend, callbacks=callbacks, observers=observers)
    return cast("CwlFlow[Outputs]", made)


def _plan(document: Document, settings: Settings) -> WorkflowPlan:
    return document if isinstance(document, WorkflowPlan) else load_plan(document, settings=settings)


class RunOptions(TypedDict, total=False):
    """What else a run may be given.

    Attributes:
        observers: Told what happens; of a class each run gets its own.
        backend: Runs every tool call, as a FakeBackend does in tests; chosen by the settings where none is given.
        callbacks: What to call when something happens.
        name: Name of the flow run; Prefect makes one up where none is given.
        tags: Tags of the flow run.
    """

    observers: Observers
    backend: Backend | None
    callbacks: Sequence[Callback]
    name: str | None
    tags: Sequence[str]


async def run(
    document: Document,
    job_order: JobOrder | None = None,
    *,
    settings: Settings | None = None,
    outdir: str | Path | None = None,
    outputs: type[Outputs] | None = None,
    **options: Unpack[RunOptions],
) -> RunResult[Outputs]:
    """Run a CWL document as a Prefect flow run, on the API that is configured or else on a local server.

    Args:
        document: A CWL document, a plan that ``cwl-prefect compile`` wrote, or one that :func:`load_plan` returned.
        job_order: Values of its inputs by their ids, or a file or URL that holds them. A File or Directory is an object
            with a ``path`` or ``location``, a Path, or a text. Relative paths in a file start from its directory,
            others from the working directory.
        settings: Settings; from the environment where none are given.
        outdir: Directory or URL where outputs are published; a directory of the run where it is not given.
        outputs: Type of its output object, as ``cwl-prefect types`` writes it; any CWL object where none is given.
        options: What else a run may be given: see :class:`RunOptions`.

    Raises:
        DocumentError: The document cannot be read or is not valid CWL.
        InputError: The job order does not fit.
        UsageError: The type of its outputs has not the outputs that it has.
        ServerError: No Prefect API can be reached or started.

    Examples:
        >>> import asyncio
        >>> from cwl_prefect import FakeBackend, run
        >>> result = asyncio.run(run("examples/cwl/hello/hello.cwl", {"message": "hi"}, backend=FakeBackend()))
        >>> result.status
        <RunStatus.COMPLETED: 'completed'>
    """
    from cwl_prefect.flows.invoke import invoke
    from cwl_prefect.flows.parameters import demand_outputs
    from cwl_prefect.flows.storage_blocks import lent_by_block

    chosen = settings or Settings()
    with await lent_by_block(chosen):
        plan, order = await asyncio.to_thread(read_run, document, job_order, chosen)
        demand_outputs(plan, outputs)
        return RunResult.of(await invoke(plan, order, settings=chosen, outdir=outdir, **options))


def run_sync(
    document: Document,
    job_order: JobOrder | None = None,
    *,
    settings: Settings | None = None,
    outdir: str | Path | None = None,
    outputs: type[Outputs] | None = None,
    **options: Unpack[RunOptions],
) -> RunResult[Outputs]:
    """Run a CWL document from code that cannot await: see :func:`run`, whose arguments and errors it has.

    Examples:
        >>> from cwl_prefect import FakeBackend, run_sync
        >>> run_sync("examples/cwl/hello/hello.cwl", backend=FakeBackend()).status
        <RunStatus.COMPLETED: 'completed'>
    """
    return awaited(lambda: run(document, job_order, settings=settings, outdir=outdir, outputs=outputs, **options))


def read_run(document: Document, job_order: JobOrder | None, settings: Settings) -> tuple[WorkflowPlan, CwlObject]:
    """Read what a run is given: its document, and its inputs as a job order."""
    from cwl_prefect.cwl.binding.job_orders import referred
    from cwl_prefect.flows.parameters import plain_order, warn_of_unknown

    given = job_order if isinstance(job_order, Mapping) else WrittenJobOrder(read_job_order(job_order))
    written, own = (given, {}) if isinstance(given, WrittenJobOrder) else referred(given, directory_uri(Path.cwd()))
    order = {**written, **own}
    overrides = cast("CwlObject", {key: value for key, value in order.items() if key in OVERRIDES})
    plan = document
    if not isinstance(plan, WorkflowPlan):
        plan = load_plan(plan, job_order=overrides, settings=settings)
    if not isinstance(job_order, WrittenJobOrder):  # whoever wrote it has looked
        warn_of_unknown(plan, order)
    return plan, {**written, **plain_order(plan, own)}


async def resume(
    run: str,
    *,
    settings: Settings | None = None,
    observers: Observers = (),
    backend: Backend | None = None,
    same: bool = False,
) -> RunResult:
    """Run again what a run did not finish, as the same flow run.

    What finished is found in the call cache; what still runs, or ended after its driver was killed, is adopted. Where
    the document was mended since, the run goes on as it is written now.

    Args:
        run: Name of the run, its flow run id, or the beginning of the id.
        settings: Say where its workspaces are; what the run was started with goes over them.
        observers: Told what happens; of a class each run gets its own.
        backend: Runs every tool call; chosen by the settings where none is given.
        same: Whether the run goes on as it began although its document was changed.

    Raises:
        InputError: Nothing is known of it here, it is running, it is complete, or its inputs do not fit any more.
        DocumentError: Its plan cannot be read, or its document is not valid any more.
        ServerError: No Prefect API can be reached or started.

    Examples:
        >>> import asyncio
        >>> from cwl_prefect import FakeBackend, resume, run
        >>> failed = asyncio.run(run("examples/cwl/hello/hello.cwl", backend=FakeBackend(lambda job: 7)))
        >>> asyncio.run(resume(failed.flow_run_id, backend=FakeBackend())).status
        <RunStatus.COMPLETED: 'completed'>
    """
    from cwl_prefect.runs import resume as resuming

    chosen = settings or Settings()
    found = resuming.find(run, chosen)
    return RunResult.of(await resuming.resume(found, settings=chosen, observers=observers, backend=backend, same=same))


async def deploy(
    document: Document,
    *,
    pool: str,
    cron: str | Sequence[str] = (),
    interval: timedelta | Sequence[timedelta] = (),
    settings: Settings | None = None,
    **options: Unpack[DeploymentOptions],
) -> "DeploymentResult":
    """Deploy a CWL document as ``cwl-prefect deploy`` does, or update the deployment of the same name.

    Args:
        document: A CWL document, a plan that ``cwl-prefect compile`` wrote, or one that :func:`load_plan` returned.
        pool: Work pool whose workers run it.
        cron: When runs start by themselves, as cron writes it; one or several.
        interval: How often runs start by themselves; one or several.
        settings: Settings that find the API; from the environment where none are given.
        options: What else a deployment may say: see :class:`DeploymentOptions`.

    Raises:
        CwlPrefectError: The document, a parameter or an option is wrong, or no Prefect API can be reached or started.

    Examples:
        >>> import asyncio
        >>> from cwl_prefect import deploy
        >>> made = asyncio.run(deploy("examples/cwl/hello/hello.cwl", pool="here", name="daily", cron="0 6 * * *"))
        >>> made.full_name
        'hello/daily'
    """
    from cwl_prefect.deployments.deployment import DeploymentRequest
    from cwl_prefect.deployments.deployment import deploy as register

    chosen = settings or Settings()
    request = DeploymentRequest(
        plan=await asyncio.to_thread(_plan, document, chosen),
        pool=pool,
        crons=(cron,) if isinstance(cron, str) else cron,
        intervals=(interval,) if isinstance(interval, timedelta) else interval,
        **options,
    )
    return await register(request, chosen)
