"""The commands ``workspace``."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Annotated

import typer
from pydantic import JsonValue

from cwl_prefect.cli.failures import lent_credentials, settings_with
from cwl_prefect.cli.log_output import configure_logging
from cwl_prefect.cli.quantities import cache_bounds
from cwl_prefect.cli.runs.listing import asking
from cwl_prefect.cli.terminal import complain, tell, tell_table
from cwl_prefect.engine.records import retention
from cwl_prefect.engine.records.manifest import Outcome
from cwl_prefect.engine.records.retention import KeptRun
from cwl_prefect.errors import ServerError
from cwl_prefect.flows.driver_lock import is_driven
from cwl_prefect.flows.lifecycle import collecting
from cwl_prefect.flows.lifecycle.workdirs import Workdirs
from cwl_prefect.runs.cache_collecting import size_text
from cwl_prefect.runs.concluding import conclude
from cwl_prefect.runs.known_run import local_time

_MIB = 1 << 20


app = typer.Typer()


@app.command("ls")
def list_workspaces(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the runs whose workspaces are kept, and when they are removed."""
    found = sorted(Workdirs.of(settings_with({})).kept_runs(), key=lambda run: run.changed)
    if as_json:
        tell(json.dumps([_described(run) for run in found], indent=4))
        return
    tell_table([("NAME", "ID", "OUTCOME", "CHANGED", "REMOVED"), *map(_row, found)])


@app.command("du")
def disk_usage() -> None:
    """Print what kept workspaces take on the disk."""
    found = [(retention.size_of(run.directory), run) for run in Workdirs.of(settings_with({})).kept_runs()]
    for size, run in sorted(found, key=lambda pair: pair[0]):
        tell(f"{size / _MIB:10.1f} MiB  {run.name}  {run.run_id}")
    tell(f"{sum(size for size, _ in found) / _MIB:10.1f} MiB  in all")


@app.command("gc")
def collect(  # noqa: PLR0917 - one parameter for each option
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Only tell what would be done.")] = False,
    deploy: Annotated[
        str | None, typer.Option(metavar="POOL", help="Make a deployment that does it by a schedule, on this pool.")
    ] = None,
    cron: Annotated[str, typer.Option(metavar="CRON", help="With --deploy: when.")] = "17 3 * * *",
    image: Annotated[
        str | None, typer.Option(help="With --deploy: image of its runs on Docker and Kubernetes pools.")
    ] = None,
    job_variable: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="With --deploy: job variable over the pool's, as JSON; repeatable."),
    ] = None,
    older_than: Annotated[
        str | None, typer.Option(metavar="TIME", help="With --deploy: as of `cache gc`, which its runs do too.")
    ] = None,
    max_size: Annotated[str | None, typer.Option(metavar="SIZE", help="With --deploy: as of `cache gc`.")] = None,
) -> None:
    """Mark what is out of date, and remove what was marked long enough ago; remove leftovers of killed runs."""
    if deploy is None:
        _collect(dry_run=dry_run)
    else:
        from cwl_prefect.cli.deploy.commands import job_variables

        given = job_variables(job_variable or ()) | ({} if image is None else {"image": image})
        _deploy(deploy, cron, given, older_than=older_than, max_size=max_size)


@app.command()
def restore(run: Annotated[str, typer.Argument(metavar="RUN", help="A run: its name or its flow run id.")]) -> None:
    """Take the mark from a run that is to be removed."""
    tell(f"{collecting.restore(run, settings_with({})).name} stays.")


def _collect(*, dry_run: bool) -> None:
    settings = settings_with({})
    configure_logging()
    with lent_credentials(settings):
        done = collecting.collect(settings, dry_run=dry_run)
    if not dry_run:
        from cwl_prefect.flows.lifecycle.reaping import reap_abandoned

        done.removed.extend(_concluded(done.killed))
        done.containers = asyncio.run(reap_abandoned(settings))
    would = "would be " if dry_run else ""
    for run in done.marked:
        tell(f"{would}marked   {run.name}  {run.run_id}")
    for run in done.removed:
        tell(f"{would}removed  {run.name}  {run.run_id}")
    tell(f"{len(done.marked)} marked, {len(done.removed)} removed, {done.containers} containers, {done.files} files.")
    if done.objects:
        tell(f"{done.objects} objects {would or 'were '}removed from the object store: {size_text(done.freed)}.")
    if done.uploads:
        tell(f"{done.uploads} unfinished uploads {would or 'were '}ended.")


def _concluded(killed: Sequence[KeptRun]) -> list[KeptRun]:
    """Remove runs that were killed when only Prefect knew that they are complete; without its API they wait."""
    if not killed:
        return []
    try:
        return asking(lambda ask, settings: conclude(killed, ask, settings))
    except ServerError as error:
        complain(f"whether killed runs are complete is not known: {error.message}")
        return []


def _deploy(
    pool: str,
    cron: str,
    given: Mapping[str, JsonValue],
    *,
    older_than: str | None,
    max_size: str | None,
) -> None:
    from cwl_prefect.deployments.housekeeping import deploy_collection

    unused_for_s, most_bytes = cache_bounds(older_than, max_size)
    deployed = deploy_collection(pool, cron, settings_with({}), given, unused_for_s=unused_for_s, most_bytes=most_bytes)
    name, command = asyncio.run(deployed)
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
    return (run.name, run.run_id, _outcome(run), local_time(run.changed), local_time(run.expires))
