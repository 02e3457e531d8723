"""Where the results of a run go, and what is left there of a driver that was killed while it delivered them."""

import asyncio
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from cwl_prefect._lib.destinations import Destination, below, destination_of, without_login
from cwl_prefect.backends.template_checks import CONTAINERS, OUTDIR, remedy
from cwl_prefect.engine.outputs.publish import demand_writable, remove_abandoned
from cwl_prefect.engine.records.manifest import RunManifest
from cwl_prefect.environment import own_flow_run
from cwl_prefect.errors import UsageError
from cwl_prefect.flows.prefect_names import flow_name
from cwl_prefect.model.plan import WorkflowPlan
from cwl_prefect.settings import Settings

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun

    from cwl_prefect.flows.execution.run import RunRequest

_UNSAFE = re.compile(r"[^\w.+-]+")
_ID_DIGITS = 8
_PLACEHOLDER = re.compile(r"\{[A-Za-z_]+\}")
_PLACEHOLDERS = ("{run_id}", "{run_name}", "{deployment}")
_EMPTY_DIR = "kubernetes.io~empty-dir"  # part of the path of a volume that ends with its pod


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedRun:
    """A run by the names that a destination may have in it.

    Attributes:
        run_id: Its flow run.
        name: Its name, which others may have too.
        deployment: Its deployment, as ``flow/deployment``; the workflow where there is none.
        deployed: Whether it is a run of a deployment.
    """

    run_id: str
    name: str
    deployment: str
    deployed: bool = False


def asked_destination(outdir: str | Path | None) -> Destination | None:
    """Return a destination as it was asked for.

    Raises:
        UsageError: It is a URL that results cannot go to, or that holds a password or a signature.
    """
    try:
        return None if outdir is None else destination_of(outdir)
    except ValueError as error:
        raise UsageError(f"results cannot go to {without_login(str(outdir))}: {error}.") from None


def demand_placeholders(pattern: str) -> None:
    """Refuse a destination of the settings with something in braces that stands for nothing.

    Raises:
        UsageError: There is such a thing.
    """
    unknown = [found for found in _PLACEHOLDER.findall(pattern) if found not in _PLACEHOLDERS]
    if unknown:
        raise UsageError(
            f"{OUTDIR} is {pattern}: {unknown[0]} stands for nothing.", hint=f"use one of {', '.join(_PLACEHOLDERS)}."
        )


async def named_run(run_id: str, plan: WorkflowPlan, request: "RunRequest") -> NamedRun:
    """Return the names of the current flow run; its deployment is asked for only where the destination has it."""
    current, workflow = _current(), flow_name(plan.name)
    if current is None:
        return NamedRun(run_id=run_id, name=run_id, deployment=workflow)
    flow_run, client = current
    deployment, known = flow_run.deployment_id, workflow
    pattern = str(request.outdir or request.settings.outdir or "")
    if deployment is not None and "{deployment}" in pattern:
        known = f"{workflow}/{(await client.read_deployment(deployment)).name}"
    return NamedRun(run_id=run_id, name=flow_run.name, deployment=known, deployed=deployment is not None)


def destination(run: NamedRun, outdir: Destination | None, settings: Settings) -> Destination:
    """Return where the results of a run go.

    Names that several runs may have get the first digits of the run's id; two runs of a deployment never share one.

    Args:
        run: The run.
        outdir: What its caller asked for.
        settings: Those of the run.

    Raises:
        UsageError: The destination of the settings has something in braces that stands for nothing.
    """
    pattern = outdir or settings.outdir
    if pattern is None:
        return (settings.home / "outputs" / run.run_id).absolute()
    if outdir is None:
        demand_placeholders(str(pattern))
    values = {
        "{run_id}": run.run_id,
        "{run_name}": f"{_plain(run.name)}-{run.run_id[:_ID_DIGITS]}",
        "{deployment}": "/".join(_plain(part) for part in run.deployment.split("/")),
    }
    place, own = str(pattern), "{run_id}" in str(pattern) or "{run_name}" in str(pattern)
    for placeholder, value in values.items():
        place = place.replace(placeholder, value)
    shared = run.deployed and outdir is None and not own
    found = Path(place).absolute() if isinstance(pattern, Path) else place
    return below(found, run.run_id) if shared else found


def _plain(name: str) -> str:
    return _UNSAFE.sub("-", name).lstrip(".") or "-"


async def lasting_destination(run_id: str, plan: WorkflowPlan, request: "RunRequest", *, again: bool) -> Destination:
    """Return where the results of the current flow run go, which stays when the run has ended.

    Args:
        run_id: The run.
        plan: The workflow.
        request: What is asked for.
        again: Whether an earlier driver began the run.

    Raises:
        UsageError: It would not stay, or nobody knows what its name means.
        PublishError: It cannot be written to, or holds the results of another run.
    """
    outdir = destination(await named_run(run_id, plan, request), request.outdir, request.settings)
    if isinstance(outdir, Path):
        await demand_lasting(outdir)
        await asyncio.to_thread(demand_writable, outdir)
        return outdir
    from cwl_prefect.engine.outputs.upload import demand_writable as demand_place
    from cwl_prefect.storage.uploads import Place

    await demand_place(Place(outdir), run_id, again=again, overwrite=request.settings.overwrite)
    return outdir


async def demand_lasting(outdir: Path) -> None:
    """Refuse a run of a Docker or Kubernetes pool whose results would go away with its own container.

    Raises:
        UsageError: They would.
    """
    if own_flow_run() is None or not is_transient(Path(os.path.realpath(outdir)), _mounts()):
        return
    pool_type = await _own_pool_type()
    if pool_type in CONTAINERS:
        raise UsageError(
            f"the results would be in {outdir}, which goes away with the flow run's own container.",
            hint=remedy(pool_type),
        )


def is_transient(place: Path, mounts: Iterable[str]) -> bool:
    """Check whether a directory of a container goes away with it: it is in its own layer, or in a temporary volume.

    Args:
        place: The directory, without links.
        mounts: Lines of ``/proc/self/mountinfo`` (proc(5)).
    """
    holding = [fields for line in mounts if place.is_relative_to(_mount_point(fields := line.split()))]
    if not holding:
        return False
    nearest = max(reversed(holding), key=lambda fields: len(_mount_point(fields)))  # the last of a place hides others
    filesystem = nearest[nearest.index("-") + 1]
    return _mount_point(nearest) == "/" or _EMPTY_DIR in nearest[3] or filesystem == "tmpfs"


def _mount_point(fields: Sequence[str]) -> str:
    return fields[4].replace("\\040", " ")


def _mounts() -> list[str]:
    try:
        return Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return []


async def _own_pool_type() -> str | None:
    """Return the type of the pool whose worker started the current flow run."""
    current = _current()
    if current is None or current[0].work_pool_name is None:
        return None
    return (await current[1].read_work_pool(current[0].work_pool_name)).type


def _current() -> "tuple[FlowRun, PrefectClient] | None":
    """Return the current flow run and a client; commands that have none do without importing Prefect."""
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return None
    return context.flow_run, cast("PrefectClient", context.client)


def remove_undelivered(found: RunManifest, settings: Settings) -> None:
    """Remove what a run that nobody can drive any more had not delivered when its driver was killed.

    Args:
        found: The run; the caller holds it.
        settings: Those of this process; the run's own go over them.
    """
    own = None if found.outdir is None else destination_of(found.outdir)
    if isinstance(own, str):
        return  # what is there is whole, and nothing says that it was delivered
    place = own if own is not None and own.is_absolute() else settings.home / "outputs" / found.run_id
    remove_abandoned(place, found.run_id)
