"""The commands ``runs``."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import httpx
import typer
from prefect import get_client
from prefect.client.orchestration import PrefectClient

from cwl_prefect import api
from cwl_prefect.cli.ages import age
from cwl_prefect.cli.exit_codes import SUCCESS
from cwl_prefect.cli.failures import settings_with
from cwl_prefect.cli.interrupt import run_interruptibly
from cwl_prefect.cli.log_output import configure_logging
from cwl_prefect.cli.progress import shown_progress
from cwl_prefect.cli.run import report
from cwl_prefect.cli.terminal import results_only
from cwl_prefect.errors import ServerError
from cwl_prefect.flows import history, resuming
from cwl_prefect.flows.connected import connected
from cwl_prefect.flows.history import Filter, Line
from cwl_prefect.flows.tagging import without_mark
from cwl_prefect.settings import Settings

T = TypeVar("T")


def filter_of(name: str | None, tags: Sequence[str] | None, newer_than: str | None, older_than: str | None) -> Filter:
    """Read which runs are meant.

    Raises:
        UsageError: An age is none.
    """
    return Filter(
        name=name,
        tags=tuple(tags or ()),
        newer_than=age(newer_than, "--newer-than"),
        older_than=age(older_than, "--older-than"),
    )


def list_runs(chosen: Filter, *, limit: int, as_json: bool) -> None:
    """Print the latest runs.

    Raises:
        ServerError: No Prefect API can be reached or started.
    """
    found = _with_api(lambda client, settings: history.lines(client, settings, chosen, limit))
    if as_json:
        settings = settings_with({})
        typer.echo(json.dumps([dict(history.details(line, settings)) for line in found], indent=4))
        return
    rows = [("NAME", "ID", "STATE", "BEGAN", "TAGS"), *map(_row, found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        typer.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def show(run: str, *, as_json: bool) -> None:
    """Print what is known of a run.

    Raises:
        InputError: There is no such run.
    """
    settings = settings_with({})
    found = history.details(_with_api(lambda client, _: history.find(client, run, settings)), settings)
    if as_json:
        typer.echo(json.dumps(found, indent=4))
        return
    for name, value in found.items():
        if value not in (None, [], {}):
            typer.echo(f"{name:<11}{value if isinstance(value, str) else json.dumps(value)}")


def logs(run: str) -> None:
    """Print what a run logged.

    Raises:
        InputError: There is no such run.
    """

    async def read(client: PrefectClient, settings: Settings) -> list[str]:
        """Ask the API for the lines of the run's log."""
        return await history.log_lines(client, await history.find(client, run, settings))

    for line in _with_api(read):
        typer.echo(line)


def resume(run: str, *, quiet: bool, verbose: bool) -> int:
    """Go on with a run, print its output object on the standard output, and give the exit code.

    Raises:
        CwlPrefectError: It cannot be resumed; failures of steps are reported here and decide the exit code.
    """
    if not resuming.known_runs(run, settings_with({})):
        _reschedule(run)
        return SUCCESS
    configure_logging(quiet=quiet, verbose=verbose)
    with results_only() as results:
        with shown_progress(quiet=quiet, verbose=verbose) as observer:

            async def work() -> api.RunResult:
                """Go on with the run, watched by the progress display."""
                return await api.resume(run, settings=settings_with({}), observer=observer)

            result = run_interruptibly(work)
        return report(result, results)


def _reschedule(run: str) -> None:
    async def again(client: PrefectClient, settings: Settings) -> str:
        """Schedule the run again, and give its name."""
        line = await history.find(client, run, settings)
        await history.reschedule(client, line)
        return line.flow_run.name

    typer.echo(f"{_with_api(again)} is scheduled: a worker of its deployment goes on with it.", err=True)


def resume_all(chosen: Filter, *, failed: bool, at_once: int, stagger_s: float) -> int:
    """Resume every unfinished run of this machine that is meant, each in a process of its own, and report on each."""
    due, skipped = resuming.due(settings_with({}), chosen.admits, failed=failed)
    for known, why in skipped:
        typer.echo(f"skipped  {known.manifest.name}  {known.manifest.run_id}  {why}")
    codes = asyncio.run(_resume_each([known.manifest.run_id for known in due], at_once=at_once, stagger_s=stagger_s))
    for known, code in zip(due, codes, strict=True):
        ending = "complete" if code == 0 else f"ended with exit code {code}"
        typer.echo(f"resumed  {known.manifest.name}  {known.manifest.run_id}  {ending}")
    return max(codes, default=0)


def stop(run: str, *, for_now: bool, force: bool, delete: bool = False) -> None:
    """Stop a run, and remove its workspaces if so asked.

    Raises:
        InputError: There is no such run, or it cannot be stopped from here.
    """

    async def end(client: PrefectClient, settings: Settings) -> list[str]:
        """End the run where it has not ended, and give the lines that tell what was done."""
        line = await history.find(client, run, settings)
        state = line.state
        if not (delete and history.has_ended(line)):
            state = await history.stop(client, line, settings, for_now=for_now, force=force)
        told = [f"{line.flow_run.name} is {state}."]
        if delete and history.delete_data(str(line.flow_run.id), settings):
            told.append("Its workspaces were removed.")
        return told

    for text in _with_api(end):
        typer.echo(text)


def remove(run: str) -> None:
    """Remove a run that has ended.

    Raises:
        InputError: There is no such run, or it has not ended.
    """

    async def forget(client: PrefectClient, settings: Settings) -> None:
        """Remove the run from the API and from this machine."""
        await history.forget(client, await history.find(client, run, settings), settings)

    _with_api(forget)
    typer.echo(f"Removed {run}.")


def _with_api(work: Callable[[PrefectClient, Settings], Awaitable[T]]) -> T:
    configure_logging(quiet=True, verbose=False)
    settings = settings_with({})

    async def run() -> T:
        """Do the work with a client; what fails on the way to the API becomes an error of ours."""
        try:
            async with connected(settings), get_client() as client:
                return await work(client, settings)
        except httpx.HTTPError as error:
            raise ServerError(
                f"Prefect's API failed: {type(error).__name__}: {error}",
                hint="see `cwl-prefect server status`, or look at the server that PREFECT_API_URL names.",
            ) from error

    return asyncio.run(run())


def _row(line: Line) -> tuple[str, ...]:
    began = line.flow_run.start_time
    return (
        line.flow_run.name,
        str(line.flow_run.id),
        line.state,
        "" if began is None else f"{began.astimezone():%Y-%m-%d %H:%M:%S}",
        ",".join(without_mark(line.flow_run.tags)),
    )


async def _resume_each(run_ids: Sequence[str], *, at_once: int, stagger_s: float) -> list[int]:
    places = asyncio.Semaphore(at_once)

    async def one(number: int, run_id: str) -> int:
        """Resume one run in its turn, and give the exit code of its process."""
        await asyncio.sleep(number * stagger_s)
        async with places:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "cwl_prefect", "runs", "resume", run_id, "--quiet"),
                stdout=asyncio.subprocess.DEVNULL,
            )
            return await process.wait()

    return await asyncio.gather(*(one(number, run_id) for number, run_id in enumerate(run_ids)))
