"""The commands ``cwl-prefect runs`` and their arguments; what does the work is imported when it is needed."""

from enum import StrEnum
from logging import getLevelNamesMapping
from pathlib import Path
from typing import Annotated

import typer

from cwl_prefect.cli.run.options import LogFormat, LogFormatChoice

app = typer.Typer()


class ReportFormat(StrEnum):
    """How a report is written."""

    HTML = "html"
    TSV = "tsv"
    CSV = "csv"
    JSON = "json"


class LogLevel(StrEnum):
    """Which lines of a log are shown."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def number(self) -> int:
        """The level as logging knows it."""
        return getLevelNamesMapping()[self.name]


def _not_empty(value: str | None) -> str | None:
    """Refuse a name that is empty, as of a variable that is not set."""
    if value is not None and not value.strip():
        raise typer.BadParameter("it is empty.")
    return value


RunName = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run: its name, its flow run id, the beginning of the id, or last.",
        callback=_not_empty,
    ),
]
Name = Annotated[str | None, typer.Option("--name", metavar="PATTERN", help="Runs so named; * and ? stand for any.")]
Tags = Annotated[list[str] | None, typer.Option("--tag", help="Runs with this tag; repeatable.")]
Newer = Annotated[str | None, typer.Option(metavar="AGE", help="Runs begun at most so long ago: 90s, 30m, 12h, 7d.")]
Older = Annotated[str | None, typer.Option(metavar="AGE", help="Runs begun at least so long ago.")]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to; printed where it is not given.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Prices = Annotated[
    Path | None, typer.Option(metavar="FILE", help="YAML with prices, by which is said what each step cost.")
]
Force = Annotated[bool, typer.Option("--force", help="Take a driver that does not answer for gone.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command("ls")
def list_runs(  # noqa: PLR0917 - one parameter for each option
    name: Name = None,
    tag: Tags = None,
    newer_than: Newer = None,
    older_than: Older = None,
    scheduled: Annotated[
        bool, typer.Option("--scheduled", help="Runs that wait for their time instead, the next first.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="How many, the latest first.")] = 20,
    json: Json = False,
) -> None:
    """List runs, the latest first."""
    from dataclasses import replace

    from cwl_prefect.cli.runs import listing

    chosen = replace(listing.filter_of(name, tag, newer_than, older_than), scheduled=scheduled)
    listing.list_runs(chosen, limit=limit, as_json=json)


@app.command()
def show(run: RunName, prices: Prices = None, json: Json = False) -> None:
    """Show what is known of a run."""
    from cwl_prefect.cli.runs import listing

    listing.show(run, prices=prices, as_json=json)


@app.command()
def outputs(run: RunName) -> None:
    """Print the output object of a run, wherever it ran."""
    from cwl_prefect.cli.runs import listing

    listing.outputs(run)


@app.command()
def report(
    run: RunName,
    output: Output = None,
    format: Annotated[
        ReportFormat | None, typer.Option(help="By the suffix of FILE where it is not given, else tsv.")
    ] = None,
    prices: Prices = None,
) -> None:
    """Report what a run did and used: a page of HTML, or its calls as a table; also of one that failed or goes on."""
    from cwl_prefect.cli.runs import report as reporting

    reporting.report(run, output, None if format is None else format.value, prices=prices)


@app.command()
def advise(
    run: RunName,
    output: Output = None,
    margin: Annotated[
        float, typer.Option(min=0, metavar="PERCENT", help="How much more than was used a step is to ask for.")
    ] = 25,
) -> None:
    """Write step overrides by which steps ask for what they need, by what they used, and tell what they did not use."""
    from cwl_prefect.cli.runs.advise import advise_run

    advise_run(run, output, margin_percent=margin)


@app.command()
def crate(
    run: RunName,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR|F.zip", help="Where to; crate-ID in the current directory by default."
        ),
    ] = None,
    no_data: Annotated[
        bool, typer.Option("--no-data", help="Name files by their checksums instead of copying them.")
    ] = False,
) -> None:
    """Write a run as a Provenance Run Crate (RO-Crate): what ran, every call, and its data."""
    from cwl_prefect.cli.runs import report as reporting

    reporting.crate(run, output, data=not no_data)


CallName = Annotated[
    str,
    typer.Argument(
        metavar="CALL", help="A call as align[3], or the step where it was called once.", callback=_not_empty
    ),
]


@app.command()
def command(run: RunName, call: CallName) -> None:
    """Print the command of a call as a script: its words, environment and directory, and what was staged for it."""
    from cwl_prefect.cli.runs import by_hand

    by_hand.show_command(run, call)


@app.command()
def rerun(
    run: RunName,
    call: CallName,
    shell: Annotated[bool, typer.Option("--shell", help="Open a shell in its place instead.")] = False,
    workdir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A new directory for its files, which stays; else they are removed."),
    ] = None,
) -> None:
    """Run the command of a call again by hand, with the same inputs, in the same image; its exit code is the tool's."""
    from cwl_prefect.cli.runs import by_hand

    raise typer.Exit(by_hand.run_again(run, call, shell=shell, workdir=workdir))


@app.command()
def watch(run: RunName) -> None:
    """Show the progress of a run until it ends, wherever it runs, and exit as it does; Ctrl-C leaves it running."""
    from cwl_prefect.cli.runs.watch import watch as watch_run

    raise typer.Exit(watch_run(run))


@app.command()
def logs(
    run: RunName,
    step: Annotated[str | None, typer.Option(help="Of this step or call alone, as align or align[3].")] = None,
    level: Annotated[LogLevel, typer.Option(help="Lines of this level and above.")] = LogLevel.DEBUG,
    since: Annotated[str | None, typer.Option(metavar="AGE", help="Lines at most so old: 90s, 30m, 12h, 7d.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run has ended.")] = False,
) -> None:
    """Print what a run and its steps logged, wherever it runs."""
    from datetime import UTC, datetime

    from cwl_prefect.cli.quantities import duration
    from cwl_prefect.cli.runs import commands as runs
    from cwl_prefect.runs.listing import AGES_AGO
    from cwl_prefect.runs.logs import Wanted

    begin = None if since is None else datetime.now(UTC) - min(duration(since, "--since"), AGES_AGO)
    runs.logs(run, Wanted(step=step, level=level.number, since=begin), follow=follow)


@app.command()
def resume(  # noqa: PLR0917 - one parameter for each option
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="A run: its name or id, or last.", callback=_not_empty)
    ] = None,
    all_unfinished: Annotated[
        bool, typer.Option("--all-unfinished", help="Every run of this machine that was killed or interrupted.")
    ] = False,
    failed: Annotated[bool, typer.Option("--failed", help="With --all-unfinished: failed runs too.")] = False,
    name: Name = None,
    tag: Tags = None,
    newer_than: Newer = None,
    older_than: Older = None,
    same: Annotated[bool, typer.Option("--same", help="As it began, although its document was changed since.")] = False,
    at_once: Annotated[int, typer.Option(min=1, help="With --all-unfinished: how many run at once.")] = 2,
    stagger: Annotated[float, typer.Option(min=0, help="With --all-unfinished: seconds between starts.")] = 2.0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more: every call, and logs.")] = False,
    log_format: LogFormat = LogFormatChoice.TEXT,
) -> None:
    """Run again what a run did not finish, as the same flow run; the output object is printed as JSON."""
    from cwl_prefect.cli.json_lines import JsonLines
    from cwl_prefect.cli.runs import commands as runs
    from cwl_prefect.cli.runs import listing

    if all_unfinished == (run is not None):
        raise typer.BadParameter("give a RUN, or --all-unfinished")
    lines = JsonLines() if log_format is LogFormatChoice.JSON else None
    if run is not None:
        raise typer.Exit(runs.resume(run, quiet=quiet, verbose=verbose, lines=lines, same=same))
    if lines is not None:
        raise typer.BadParameter("--log-format json is of one run; leave it out, or resume one after the other")
    chosen = listing.filter_of(name, tag, newer_than, older_than)
    raise typer.Exit(runs.resume_all(chosen, failed=failed, at_once=at_once, stagger_s=stagger, same=same))


@app.command()
def interrupt(run: RunName, force: Force = False) -> None:
    """Stop a run now, and keep everything for `resume`."""
    from cwl_prefect.cli.runs import commands as runs

    runs.stop(run, for_now=True, force=force)


@app.command()
def cancel(
    run: RunName,
    delete: Annotated[bool, typer.Option("--delete", help="Remove its workspaces on this machine too.")] = False,
    yes: Yes = False,
    force: Force = False,
) -> None:
    """Stop a run."""
    from cwl_prefect.cli.runs import commands as runs

    runs.stop(run, for_now=False, force=force, delete=delete, ask=delete and not yes)


@app.command("rm")
def remove(run: RunName, yes: Yes = False) -> None:
    """Remove a run that has ended: its workspaces on this machine, and its record in Prefect."""
    from cwl_prefect.cli.runs import commands as runs

    runs.remove(run, ask=not yes)
