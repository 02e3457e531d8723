"""Run again what a run did not finish, as the same flow run.

What finished is found in the call cache, what still runs or ended meanwhile is adopted.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from uuid import UUID

from prefect import get_client
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound
from prefect.states import Pending

from cwl_prefect._lib.destinations import destination_of
from cwl_prefect._lib.uris import path_of
from cwl_prefect.backends.base import Backend
from cwl_prefect.cwl.javascript import engine
from cwl_prefect.cwl.loading.plans import cached_plan, read_plan
from cwl_prefect.engine.records import manifest
from cwl_prefect.engine.records.manifest import Outcome, RunManifest
from cwl_prefect.engine.staging.workspace import remove_run
from cwl_prefect.errors import CwlPrefectError, InputError
from cwl_prefect.flows.build import prepared
from cwl_prefect.flows.driver_lock import claim
from cwl_prefect.flows.execution.backends import Backends
from cwl_prefect.flows.execution.run import RunReport, RunRequest
from cwl_prefect.flows.invoke import call
from cwl_prefect.flows.lifecycle.recording import note_end
from cwl_prefect.flows.lifecycle.workdirs import Workdirs
from cwl_prefect.flows.session import connected
from cwl_prefect.flows.storage_blocks import lent_by_block
from cwl_prefect.model.events import Observer, Observers, RunEvent, RunStarted
from cwl_prefect.model.names import begins_id
from cwl_prefect.model.plan import WorkflowPlan
from cwl_prefect.model.values import CwlObject, file_objects
from cwl_prefect.runs.known_run import KnownRun, several
from cwl_prefect.settings import Settings

_logger = logging.getLogger(__name__)

_UNFINISHED = frozenset({Outcome.RUNNING, Outcome.INTERRUPTED})
_OWN = frozenset({"home", "workdir"})  # where the manifest was found, whatever it says


def find(run: str, settings: Settings) -> KnownRun:
    """Find a run of this machine.

    Args:
        run: Its name, its flow run id, or the beginning of the id.
        settings: Say where workspaces are.

    Raises:
        InputError: There is none, or more than one.
    """
    found = known_runs(run, settings)
    if not found:
        raise InputError(
            f"nothing is known of a run {run} on this machine.",
            hint="resume it on the machine that ran it, with the same CWL_PREFECT_HOME; "
            "workspaces of runs that succeeded are not kept.",
        )
    if len(found) > 1:
        raise several(run, [(one.manifest.run_id, one.state, one.manifest.began) for one in found])
    return found[0]


def known_runs(run: str, settings: Settings) -> list[KnownRun]:
    """Return the runs of this machine that may be meant by a name, an id, or the beginning of an id."""
    every = [KnownRun(directory=path, manifest=found) for path, found in Workdirs.of(settings).manifests()]
    found = [one for one in every if run in (one.manifest.run_id, one.manifest.name)]
    return found or [one for one in every if begins_id(run, one.manifest.run_id)]


def due(
    settings: Settings, admits: Callable[[str, Sequence[str], datetime], bool], *, failed: bool
) -> tuple[list[KnownRun], list[tuple[KnownRun, str]]]:
    """Return the unfinished runs of this machine, the oldest first, and those left alone, each with the reason.

    Runs that are not meant are in neither.

    Args:
        settings: Say where workspaces are.
        admits: Tells from name, tags and beginning whether a run is meant.
        failed: Whether failed runs are meant too.
    """
    chosen: list[KnownRun] = []
    skipped: list[tuple[KnownRun, str]] = []
    for path, found in Workdirs.of(settings).manifests():
        known = KnownRun(directory=path, manifest=found)
        if not admits(found.name, found.tags, found.began):
            continue
        why = known.refusal or _unwanted(found, failed=failed)
        if why is None:
            chosen.append(known)
        else:
            skipped.append((known, why))
    return sorted(chosen, key=lambda known: known.manifest.began), skipped


def _unwanted(found: RunManifest, *, failed: bool) -> str | None:
    if found.outcome is Outcome.CANCELLED:
        return "it was cancelled"
    if found.outcome in (Outcome.FAILED, Outcome.PARTIAL) and not failed:
        return "it failed; --failed resumes it"
    return None


def unfinished(settings: Settings) -> list[KnownRun]:
    """Return the runs of this machine that were killed or interrupted, the oldest first."""
    every = (KnownRun(directory=path, manifest=found) for path, found in Workdirs.of(settings).manifests())
    found = [one for one in every if one.manifest.outcome in _UNFINISHED and one.refusal is None]
    return sorted(found, key=lambda known: known.manifest.began)


def does(found: RunManifest, plan: WorkflowPlan, order: CwlObject, settings: Settings) -> bool:
    """Check whether a run does what a new one would do, on files that have not changed since it began.

    Args:
        found: The run.
        plan: What the new one would run.
        order: Its prepared inputs.
        settings: Its settings.
    """
    same = (found.plan, found.job_order, found.settings) == (plan.digest, order, manifest.kept_settings(settings))
    return same and all(_is_older(str(file.get("location") or ""), found.began) for file in file_objects(order))


def _is_older(location: str, moment: datetime) -> bool:
    if not location.startswith("file:"):
        return True
    path = path_of(location)
    try:
        return path is not None and path.stat().st_mtime <= moment.timestamp()
    except OSError:
        return False


def settings_of(known: KnownRun, settings: Settings) -> Settings:
    """Return the settings that a run goes on with: its own, where it is found now."""
    own = {name: value for name, value in known.manifest.settings.items() if name not in _OWN}
    runs = known.directory.parent
    place = {} if runs == settings.runs.resolve() else {"workdir": runs}
    return Settings.model_validate({**settings.model_dump(exclude_unset=True), **own, **place})


async def resume(
    known: KnownRun,
    *,
    settings: Settings,
    observers: Observers = (),
    backend: Backend | None = None,
    same: bool = False,
) -> RunReport:
    """Drive a run of this machine to its end, from wherever it stopped.

    Args:
        known: The run.
        settings: Those of this process; the run's own go over them.
        observers: Told what happens; of a class each run gets its own.
        backend: Runs every tool call; chosen by the settings where none is given.
        same: Whether it goes on as it began although its document was changed.

    Raises:
        InputError: It is running or complete, or its inputs do not fit the document any more.
        DocumentError: Its plan cannot be read, or its document is not valid any more.
        ServerError: No Prefect API can be reached or started.
    """
    chosen = settings_of(known, settings)
    # Claimed before anybody is told that it goes on.
    with await lent_by_block(chosen), claim(known.directory.parent, known.directory.name) as claimed:
        found = _unfinished(known)
        plan = manifest.plan_of(known.directory, found)
        plan, found = (plan, found) if same else as_written_now(plan, found, chosen)
        request = replace(_request(found, chosen, backend), observers=tuple(observers), claimed=claimed)
        async with connected(chosen), get_client() as client:
            flow_run = await _reopened(client, UUID(found.run_id))
            if flow_run is None:
                successor = _noting_successor(known.directory, found)
                request = replace(request, name=found.name, tags=found.tags, observers=(successor, *observers))
            return await call(plan, found.job_order, request, flow_run)


def as_written_now(plan: WorkflowPlan, found: RunManifest, settings: Settings) -> tuple[WorkflowPlan, RunManifest]:
    """Return the plan that a run's document gives now, and the run with its inputs for that.

    Inputs that had the default of the document have the one that it has now.

    Raises:
        DocumentError: It is not valid any more.
        InputError: The inputs do not fit it any more.
    """
    document = found.document
    if document is None:
        return plan, found
    if "://" not in document and not Path(document.partition("#")[0]).exists():
        _logger.warning("%s is gone: the run %s goes on as it began.", document, found.name)
        return plan, found
    try:
        now = read_plan(document) or cached_plan(document, settings.plans, untrusted=settings.untrusted)
        if now.digest == plan.digest:
            return plan, found
        defaults = {port.id: port.default for port in plan.inputs}
        given = {name: value for name, value in found.job_order.items() if value != defaults.get(name)}
        order = prepared(now, given, settings)
    except CwlPrefectError as error:
        error.hint = " ".join(filter(None, (error.hint, _AS_IT_BEGAN)))
        raise
    _logger.warning(
        "%s has changed since the run began: it goes on as it is written now, and calls that are the same are found in "
        "the cache. %s",
        document,
        _AS_IT_BEGAN,
    )
    return now, replace(found, job_order=order, plan=now.digest)


_AS_IT_BEGAN = "`runs resume --same` goes on as the run began."


def _noting_successor(directory: Path, found: RunManifest) -> Observer:
    """Let it be noted that nobody wants a run to be finished, once a new one has begun in its place."""

    def observe(event: RunEvent) -> None:
        """Note the beginning of the new run."""
        if isinstance(event, RunStarted):
            note_end(directory, found.ended_as(Outcome.CANCELLED, f"the run {event.flow_run_id} goes on in its place"))

    return observe


def _unfinished(known: KnownRun) -> RunManifest:
    """Return the manifest of a run as it is now that no other driver has it.

    Raises:
        InputError: It is complete.
    """
    found = manifest.read(known.directory)
    if found is None:  # another driver ended it meanwhile, and nothing was to be kept
        remove_run(known.directory.parent, known.directory.name)
    if found is None or found.outcome is Outcome.COMPLETED:
        raise InputError(f"the run {known.manifest.name} cannot be resumed: it is complete.")
    return found


def _request(found: RunManifest, chosen: Settings, backend: Backend | None) -> RunRequest:
    engine.install(timeout_s=chosen.javascript_timeout_s, memory_mib=chosen.javascript_memory_mib)
    return RunRequest(
        job_order=found.job_order,
        settings=chosen,
        outdir=None if found.outdir is None else destination_of(found.outdir),
        backends=None if backend is None else Backends.of(backend, chosen),
    )


async def _reopened(client: PrefectClient, run_id: UUID) -> FlowRun | None:
    """Let the flow run begin again; None where the server does not know it any more."""
    try:
        await client.read_flow_run(run_id)
    except ObjectNotFound:
        return None
    await client.set_flow_run_state(run_id, Pending(message="Resumed"), force=True)  # not for a worker
    return await client.read_flow_run(run_id)
