"""The commands ``deployments``."""

import asyncio
import json
from collections.abc import Sequence
from typing import Annotated

import typer

from cwl_prefect import __version__
from cwl_prefect._lib.suggestions import near
from cwl_prefect.cli.failures import settings_with
from cwl_prefect.cli.terminal import tell, tell_table
from cwl_prefect.deployments.connection import Connection, connected
from cwl_prefect.deployments.deployment import apply
from cwl_prefect.deployments.stored import StoredDeployment, renewed, stored_deployments
from cwl_prefect.errors import CwlPrefectError, UsageError
from cwl_prefect.model.plan_formats import PLAN_FORMAT

app = typer.Typer()


@app.command("ls")
def list_deployments(as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False) -> None:
    """List what was deployed, by which version, and when and where it runs."""
    url, found = asyncio.run(_listed())
    if as_json:
        tell(json.dumps([each.details() for each in found], indent=4))
        return
    tell_table([("NAME", "POOL", "WORKFLOW", "CWL-PREFECT", "PLAN", "SCHEDULES", "OUTDIR"), *map(_row, found)])
    tell(f"On {url}.")
    if not all(each.is_current for each in found):
        tell(
            f"This is cwl-prefect {__version__}, which writes plans of format {PLAN_FORMAT}; "
            "`cwl-prefect deployments upgrade --all` renews what another version made."
        )


@app.command()
def upgrade(
    name: Annotated[str | None, typer.Argument(metavar="FLOW/NAME", help="The deployment.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Renew all that another version made.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Only tell what would be done.")] = False,
) -> None:
    """Write a deployment as this version does, from what it carries: without its document, and with all its options."""
    if everything == (name is not None):
        raise UsageError("Which deployment is to be renewed?", hint="name it as FLOW/NAME, or give --all.")
    failed = asyncio.run(_upgraded(name, dry_run=dry_run))
    if dry_run:
        tell("Nothing was done, since this is a dry run.")
    if failed:
        raise UsageError(
            f"{failed} deployment{'' if failed == 1 else 's'} could not be renewed.", hint="the lines with ! say why."
        )


async def _listed() -> tuple[str, list[StoredDeployment]]:
    async with connected(settings_with({})) as connection:
        return connection.endpoint.url, [each async for each in stored_deployments(connection)]


async def _upgraded(name: str | None, *, dry_run: bool) -> int:
    """Renew what is meant, tell each, and return how many could not be."""
    async with connected(settings_with({})) as connection:
        found = [each async for each in stored_deployments(connection)]
        chosen = found if name is None else [_named(name, found)]
        return sum([not await _renewed(each, connection, dry_run=dry_run) for each in chosen])


async def _renewed(stored: StoredDeployment, connection: Connection, *, dry_run: bool) -> bool:
    if stored.is_current:
        tell(f"= {stored.full_name}: made by this version")
        return True
    try:
        prepared = await renewed(stored, connection)
        if not dry_run:
            await apply(prepared, connection)
    except CwlPrefectError as error:
        tell(f"! {stored.full_name}: {error}")
        return False
    tell(f"~ {stored.full_name}: was made by {_made_by(stored)}")
    return True


def _named(name: str, found: Sequence[StoredDeployment]) -> StoredDeployment:
    known = {each.full_name: each for each in found}
    if name in known:
        return known[name]
    meant = near(name, known)
    raise UsageError(
        f"There is no deployment {name} of a workflow.",
        hint=f"did you mean {meant}?" if meant else "`cwl-prefect deployments ls` lists all that there are.",
    )


def _made_by(stored: StoredDeployment) -> str:
    release = stored.release or "a version that did not say which it was"
    return f"{release}, plan format {'unreadable' if stored.plan_format is None else stored.plan_format}"


def _row(stored: StoredDeployment) -> tuple[str, ...]:
    found = stored.found
    paused = "paused: " if found.paused else ""
    return (
        stored.full_name,
        found.work_pool_name or "served",
        found.version or "",
        stored.release or "not told",
        "unreadable" if stored.plan_format is None else str(stored.plan_format),
        paused + "; ".join(stored.schedules) if stored.schedules else paused.rstrip(": "),
        stored.outdir or "",
    )
