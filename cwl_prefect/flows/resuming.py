"""Run again what a run did not finish, as the same flow run.

What finished is found in the call cache, what still runs or ended meanwhile is adopted.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from uuid import UUID

from prefect import State, get_client
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound
from prefect.states import Crashed, Pending

from cwl_prefect.backends.base import Backend
from cwl_prefect.cwl import javascript
from cwl_prefect.engine import manifest
from cwl_prefect.engine.fingerprint import local_path
from cwl_prefect.engine.manifest import Outcome, RunManifest
from cwl_prefect.engine.workspace import remove_run
from cwl_prefect.errors import InputError
from cwl_prefect.flows.choose import Backends
from cwl_prefect.flows.claim import claim
from cwl_prefect.flows.connected import connected
from cwl_prefect.flows.endings import open_task_runs
from cwl_prefect.flows.invoke import call
from cwl_prefect.flows.known_run import SHORTEST_ID, KnownRun, several
from cwl_prefect.flows.recording import note_end
from cwl_prefect.flows.run import Caller
from cwl_prefect.flows.workdirs import Workdirs
from cwl_prefect.model.events import Observer, RunEvent, RunStarted
from cwl_prefect.model.plan import WorkflowPlan
from cwl_prefect.model.values import CwlObject, file_objects
from cwl_prefect.settings import Settings

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
    """Give the runs of this machine that may be meant by a name, an id, or the beginning of an id."""
    every = [KnownRun(directory=path, manifest=found) for path, found in Workdirs.of(settings).manifests()]
    found = [one for one in every if run in (one.manifest.run_id, one.manifest.name)]
    if not found and len(run) >= SHORTEST_ID:
        found = [one for one in every if one.manifest.run_id.startswith(run)]
    return found


def due(
    settings: Settings, admits: Callable[[str, Sequence[str], datetime], bool], *, failed: bool
) -> tuple[list[KnownRun], list[tuple[KnownRun, str]]]:
    """Give the unfinished runs of this machine, the oldest first, and those that are left alone, each with the reason.

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
    """Give the runs of this machine that were killed or interrupted, the oldest first."""
    every = (KnownRun(directory=path, manifest=found) for path, found in Workdirs.of(settings).manifests())
    found = [one for one in every if one.manifest.outcome in _UNFINISHED and one.refusal is None]
    return sorted(found, key=lambda known: known.manifest.began)


def does(found: RunManifest, plan: WorkflowPlan, order: CwlObject, settings: Settings) -> bool:
    """Tell whether a run does what a new one would do, on files that have not changed since it began.

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
    try:
        return local_path(location).stat().st_mtime <= moment.timestamp()
    except OSError:
        return False


def settings_of(known: KnownRun, settings: Settings) -> Settings:
    """Give the settings that a run goes on with: its own, where it is found now."""
    own = {name: value for name, value in known.manifest.settings.items() if name not in _OWN}
    runs = known.directory.parent
    place = {} if runs == settings.runs.resolve() else {"workdir": runs}
    return Settings.model_validate({**settings.model_dump(exclude_unset=True), **own, **place})


async def resume(
    known: KnownRun, *, settings: Settings, observer: Observer | None = None, backend: Backend | None = None
) -> Caller:
    """Drive a run of this machine to its end, from wherever it stopped.

    Args:
        known: The run.
        settings: Those of this process; the run's own go over them.
        observer: Told what happens.
        backend: Runs every tool call; chosen by the settings where none is given.

    Raises:
        InputError: It is running or complete.
        DocumentError: Its plan cannot be read.
        ServerError: No Prefect API can be reached or started.
    """
    with claim(known.directory.parent, known.directory.name) as claimed:  # before anybody is told that it goes on
        found = _unfinished(known)
        plan = manifest.plan_of(known.directory, found)
        caller = _caller(known, settings_of(known, settings), observer, backend)
        caller.claimed = claimed
        async with connected(caller.settings), get_client() as client:
            flow_run = await _reopened(client, UUID(found.run_id))
            if flow_run is None:
                caller.name, caller.tags = found.name, found.tags
                caller.observer = _noting_successor(known.directory, found, observer)
            await call(plan, found.job_order, caller, flow_run)
    return caller


def _noting_successor(directory: Path, found: RunManifest, observer: Observer | None) -> Observer:
    """Let it be noted that nobody wants a run to be finished, once a new one has begun in its place."""

    def observe(event: RunEvent) -> None:
        """Note the beginning of the new run, and tell of every event."""
        if isinstance(event, RunStarted):
            note_end(directory, found.ended_as(Outcome.CANCELLED, f"the run {event.flow_run_id} goes on in its place"))
        if observer is not None:
            observer(event)

    return observe


def _unfinished(known: KnownRun) -> RunManifest:
    """Give the manifest of a run as it is now that no other driver has it.

    Raises:
        InputError: It is complete.
    """
    found = manifest.read(known.directory)
    if found is None:  # another driver ended it meanwhile, and nothing was to be kept
        remove_run(known.directory.parent, known.directory.name)
    if found is None or found.outcome is Outcome.COMPLETED:
        raise InputError(f"the run {known.manifest.name} cannot be resumed: it is complete.")
    return found


def _caller(known: KnownRun, chosen: Settings, observer: Observer | None, backend: Backend | None) -> Caller:
    found = known.manifest
    javascript.install(timeout_s=chosen.javascript_timeout_s, memory_mib=chosen.javascript_memory_mib)
    return Caller(
        settings=chosen,
        observer=observer,
        outdir=None if found.outdir is None else Path(found.outdir),
        backends=None if backend is None else Backends.of(backend, chosen),
        job_order=found.job_order,
    )


async def _reopened(client: PrefectClient, run_id: UUID) -> FlowRun | None:
    """Let the flow run begin again; None where the server does not know it any more."""
    try:
        await client.read_flow_run(run_id)
    except ObjectNotFound:
        return None
    await _close_task_runs(client, run_id)
    await client.set_flow_run_state(run_id, Pending(message="Resumed"), force=True)  # not for a worker
    return await client.read_flow_run(run_id)


async def _close_task_runs(client: PrefectClient, run_id: UUID) -> None:
    """End the task runs that a killed driver left open; their calls get new ones."""
    open_runs = await open_task_runs(client, {run_id})
    ended: State[object] = Crashed(message="Its driver was killed")
    with contextlib.suppress(ObjectNotFound):
        await asyncio.gather(*(client.set_task_run_state(one.id, ended, force=True) for one in open_runs))
