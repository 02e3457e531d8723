"""The commands ``runs`` that do something to a run, or read its log."""

import asyncio
import sys
from collections.abc import Sequence
from functools import partial

import typer
from prefect.client.orchestration import PrefectClient

from cwl_prefect import api
from cwl_prefect.cli.exit_codes import SUCCESS
from cwl_prefect.cli.failures import settings_with
from cwl_prefect.cli.interrupt import run_interruptibly
from cwl_prefect.cli.json_lines import JsonLines
from cwl_prefect.cli.log_output import configure_logging
from cwl_prefect.cli.run.command import report
from cwl_prefect.cli.run.progress import shown_progress
from cwl_prefect.cli.runs.with_api import with_api
from cwl_prefect.cli.terminal import results_only, tell
from cwl_prefect.runs import control, listing
from cwl_prefect.runs import resume as resuming
from cwl_prefect.runs.listing import Filter
from cwl_prefect.runs.logs import Wanted
from cwl_prefect.runs.logs import lines as lines_of
from cwl_prefect.runs.records import asking
from cwl_prefect.server.client import posting
from cwl_prefect.server.local_server import open_address
from cwl_prefect.settings import Settings


def logs(run: str, wanted: Wanted, *, follow: bool) -> None:
    """Print what a run logged, and what it logs until it ends where it is to be followed.

    Raises:
        InputError: There is no such run.
    """

    async def read(client: PrefectClient, settings: Settings) -> None:
        """Print the lines of the run's log as the API has them."""
        line = await listing.find(asking(posting(client)), run, settings)
        async for text in lines_of(client, line.flow_run.id, wanted, follow=follow):
            tell(text)

    with_api(read)


def resume(run: str, *, quiet: bool, verbose: bool, lines: JsonLines | None = None, same: bool = False) -> int:
    """Go on with a run, print its output object on the standard output, and give the exit code.

    Args:
        run: Its name or id.
        quiet: Say nothing but errors.
        verbose: Say more.
        lines: Write lines of JSON on standard error; None: text.
        same: As it began, although its document was changed since.

    Raises:
        CwlPrefectError: It cannot be resumed; failures of steps are reported here and decide the exit code.
    """
    if run == "last":
        run = str(_found(run).flow_run.id)
    if not resuming.known_runs(run, settings_with({})):
        _reschedule(run)
        return SUCCESS
    configure_logging(quiet=quiet, verbose=verbose, lines=lines)
    with results_only() as results:
        opened = partial(open_address, settings_with({}))
        with shown_progress(quiet=quiet, verbose=verbose, opened=opened, lines=lines) as observer:

            async def work() -> api.RunResult:
                """Go on with the run, watched by the progress display."""
                return await api.resume(run, settings=settings_with({}), observers=[observer], same=same)

            result = run_interruptibly(work)
        return report(result, results)


def _found(run: str, question: str | None = None) -> listing.Line:
    """Find a run, and ask whether something is to be done to it where there is a question.

    Raises:
        InputError: There is no such run.
        Abort: It is not to be done.
    """
    line = with_api(lambda client, settings: listing.find(asking(posting(client)), run, settings))
    if question is not None:
        typer.confirm(question.format(line.flow_run.name), abort=True, err=True)
    return line


def _reschedule(run: str) -> None:
    async def again(client: PrefectClient, settings: Settings) -> str:
        """Schedule the run again, and give its name."""
        line = await listing.find(asking(posting(client)), run, settings)
        await control.reschedule(client, line)
        return line.flow_run.name

    tell(f"{with_api(again)} is scheduled: a worker of its deployment goes on with it.", err=True)


def resume_all(chosen: Filter, *, failed: bool, at_once: int, stagger_s: float, same: bool = False) -> int:
    """Resume every unfinished run of this machine that is meant, each in a process of its own, and report on each."""
    due, skipped = resuming.due(settings_with({}), chosen.admits, failed=failed)
    if not due and not skipped:
        tell("There is no such run on this machine.")
    for known, why in skipped:
        tell(f"skipped  {known.manifest.name}  {known.manifest.run_id}  {why}")
    run_ids = [known.manifest.run_id for known in due]
    codes = asyncio.run(_resume_each(run_ids, at_once=at_once, stagger_s=stagger_s, same=same))
    for known, code in zip(due, codes, strict=True):
        ending = "complete" if code == 0 else f"ended with exit code {code}"
        tell(f"resumed  {known.manifest.name}  {known.manifest.run_id}  {ending}")
    return max(codes, default=0)


def stop(run: str, *, for_now: bool, force: bool, delete: bool = False, ask: bool = False) -> None:
    """Stop a run, and remove its workspaces if so asked, after a question where ``ask`` says so.

    Raises:
        InputError: There is no such run, or it cannot be stopped from here.
    """
    line = _found(run, "Cancel {} and remove its workspaces?" if ask else None)

    async def end(client: PrefectClient, settings: Settings) -> list[str]:
        """End the run where it has not ended, and give the lines that tell what was done."""
        state = line.state
        if not (delete and listing.has_ended(line)):
            state = await control.stop(client, line, for_now=for_now, force=force, delete=delete)
        told = [f"{line.flow_run.name} is {state}."]
        if delete and control.delete_data(line, settings):
            told.append("Its workspaces were removed.")
        return told

    for text in with_api(end):
        tell(text)


def remove(run: str, *, ask: bool) -> None:
    """Remove a run that has ended, after a question where ``ask`` says so.

    Raises:
        InputError: There is no such run, or it has not ended.
    """
    line = _found(run, "Remove {}, its workspaces and its record?" if ask else None)

    async def forget(client: PrefectClient, settings: Settings) -> None:
        """Remove the run from the API and from this machine."""
        await control.forget(client, line, settings)

    with_api(forget)
    tell(f"Removed {line.flow_run.name}.")


def _shown(code: int) -> int:
    """Return the exit code of a process as shells do, where a signal may have ended it."""
    return code if code >= 0 else 128 - code


async def _resume_each(run_ids: Sequence[str], *, at_once: int, stagger_s: float, same: bool) -> list[int]:
    places = asyncio.Semaphore(at_once)

    async def one(number: int, run_id: str) -> int:
        """Resume one run in its turn, and give the exit code of its process."""
        await asyncio.sleep(number * stagger_s)
        async with places:
            process = await asyncio.create_subprocess_exec(
                *(
                    sys.executable,
                    "-m",
                    "cwl_prefect",
                    "runs",
                    "resume",
                    run_id,
                    "--quiet",
                    *(["--same"] if same else []),
                ),
                stdout=asyncio.subprocess.DEVNULL,
            )
            return _shown(await process.wait())

    return await asyncio.gather(*(one(number, run_id) for number, run_id in enumerate(run_ids)))
