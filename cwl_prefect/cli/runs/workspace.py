"""The commands ``workspace``."""

import asyncio
import json
from collections.abc import Sequence
from datetime import datetime

from cwl_prefect.cli.failures import settings_with
from cwl_prefect.cli.log_output import configure_logging
from cwl_prefect.cli.runs.listing import asking
from cwl_prefect.cli.terminal import complain, tell, tell_table
from cwl_prefect.engine.records import retention
from cwl_prefect.engine.records.manifest import Outcome
from cwl_prefect.engine.records.retention import KeptRun
from cwl_prefect.errors import ServerError
from cwl_prefect.flows.driver_lock import is_driven
from cwl_prefect.flows.lifecycle import collecting
from cwl_prefect.flows.lifecycle.workdirs import Workdirs
from cwl_prefect.runs.concluding import conclude

_MIB = 1 << 20


def list_workspaces(*, as_json: bool) -> None:
    """Print the runs whose workspaces are kept, the latest last."""
    found = sorted(Workdirs.of(settings_with({})).kept_runs(), key=lambda run: run.changed)
    if as_json:
        tell(json.dumps([_described(run) for run in found], indent=4))
        return
    tell_table([("NAME", "ID", "OUTCOME", "CHANGED", "REMOVED"), *map(_row, found)])


def disk_usage() -> None:
    """Print what each run's workspaces take, the largest last, and the sum."""
    found = [(retention.size_of(run.directory), run) for run in Workdirs.of(settings_with({})).kept_runs()]
    for size, run in sorted(found, key=lambda pair: pair[0]):
        tell(f"{size / _MIB:10.1f} MiB  {run.name}  {run.run_id}")
    tell(f"{sum(size for size, _ in found) / _MIB:10.1f} MiB  in all")


def collect(*, dry_run: bool) -> None:
    """Mark and remove what is due, and say so."""
    settings = settings_with({})
    done = collecting.collect(settings, dry_run=dry_run)
    if not dry_run:
        from cwl_prefect.flows.lifecycle.reaping import reap_abandoned

        done.removed.extend(_concluded(done.killed))
        configure_logging()
        done.containers = asyncio.run(reap_abandoned(settings))
    would = "would be " if dry_run else ""
    for run in done.marked:
        tell(f"{would}marked   {run.name}  {run.run_id}")
    for run in done.removed:
        tell(f"{would}removed  {run.name}  {run.run_id}")
    tell(f"{len(done.marked)} marked, {len(done.removed)} removed, {done.containers} containers, {done.files} files.")


def _concluded(killed: Sequence[KeptRun]) -> list[KeptRun]:
    """Remove runs that were killed when only Prefect knew that they are complete; without its API they wait."""
    if not killed:
        return []
    try:
        return asking(lambda ask, settings: conclude(killed, ask, settings))
    except ServerError as error:
        complain(f"whether killed runs are complete is not known: {error.message}")
        return []


def restore(run: str) -> None:
    """Take the mark from a run.

    Raises:
        InputError: There is no such run, or it is not marked.
    """
    tell(f"{collecting.restore(run, settings_with({})).name} stays.")


def deploy(pool: str, cron: str, variables: Sequence[str], image: str | None) -> None:
    """Make a deployment that collects by a schedule.

    Raises:
        UsageError: There is no such pool, it needs an image or has no such job variable, or the schedule is none.
    """
    from cwl_prefect.cli.deploy.commands import job_variables
    from cwl_prefect.deploy.housekeeping import deploy_collection

    given = job_variables(variables) | ({} if image is None else {"image": image})
    name, command = asyncio.run(deploy_collection(pool, cron, settings_with({}), given))
    tell(f"Deployed {name}. A worker runs it: {command}")


def _outcome(run: KeptRun) -> str:
    if is_driven(run.directory):
        return Outcome.RUNNING.value
    if run.manifest is None:
        return "unknown"
    return "killed" if run.manifest.outcome is Outcome.RUNNING else run.manifest.outcome.value


def _described(run: KeptRun) -> dict[str, object]:
    return {
        "name": run.name,
        "id": run.run_id,
        "outcome": _outcome(run),
        "directory": str(run.directory),
        "changed": run.changed.isoformat(),
        "expires": None if run.expires is None else run.expires.isoformat(),
    }


def _row(run: KeptRun) -> tuple[str, ...]:
    return (run.name, run.run_id, _outcome(run), _moment(run.changed), _moment(run.expires))


def _moment(when: datetime | None) -> str:
    return "" if when is None else f"{when.astimezone():%Y-%m-%d %H:%M:%S}"
