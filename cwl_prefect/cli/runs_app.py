"""The commands ``cwl-prefect runs`` and their arguments; what does the work is imported when it is needed."""

from typing import Annotated

import typer

runs_app = typer.Typer(help="Runs so far: look at them, stop them, go on with them.", no_args_is_help=True)

RunName = Annotated[
    str, typer.Argument(metavar="RUN", help="A run: its name, its flow run id, or the beginning of the id.")
]
Name = Annotated[str | None, typer.Option("--name", metavar="PATTERN", help="Runs so named; * and ? stand for any.")]
Tags = Annotated[list[str] | None, typer.Option("--tag", help="Runs with this tag; repeatable.")]
Newer = Annotated[str | None, typer.Option(metavar="AGE", help="Runs begun at most so long ago: 90s, 30m, 12h, 7d.")]
Older = Annotated[str | None, typer.Option(metavar="AGE", help="Runs begun at least so long ago.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Force = Annotated[bool, typer.Option("--force", help="Take a driver that does not answer for gone.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@runs_app.command("ls")
def list_runs(
    name: Name = None,
    tag: Tags = None,
    newer_than: Newer = None,
    older_than: Older = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, the latest first.")] = 20,
    json: Json = False,
) -> None:
    """List runs, the latest first."""
    from cwl_prefect.cli import run_list

    chosen = run_list.filter_of(name, tag, newer_than, older_than)
    run_list.list_runs(chosen, limit=limit, as_json=json)


@runs_app.command()
def show(run: RunName, json: Json = False) -> None:
    """Show what is known of a run."""
    from cwl_prefect.cli import run_list

    run_list.show(run, as_json=json)


@runs_app.command()
def logs(run: RunName) -> None:
    """Print what a run and its steps logged."""
    from cwl_prefect.cli import runs

    runs.logs(run)


@runs_app.command()
def resume(  # noqa: PLR0917 - one parameter for each option
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="A run: its name or id.")] = None,
    all_unfinished: Annotated[
        bool, typer.Option("--all-unfinished", help="Every run of this machine that was killed or interrupted.")
    ] = False,
    failed: Annotated[bool, typer.Option("--failed", help="With --all-unfinished: failed runs too.")] = False,
    name: Name = None,
    tag: Tags = None,
    newer_than: Newer = None,
    older_than: Older = None,
    at_once: Annotated[int, typer.Option(min=1, help="With --all-unfinished: how many run at once.")] = 2,
    stagger: Annotated[float, typer.Option(min=0, help="With --all-unfinished: seconds between starts.")] = 2.0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more: every call, and logs.")] = False,
) -> None:
    """Run again what a run did not finish, as the same flow run; the output object is printed as JSON."""
    from cwl_prefect.cli import run_list, runs

    if all_unfinished == (run is not None):
        raise typer.BadParameter("give a RUN, or --all-unfinished")
    if run is not None:
        raise typer.Exit(runs.resume(run, quiet=quiet, verbose=verbose))
    chosen = run_list.filter_of(name, tag, newer_than, older_than)
    raise typer.Exit(runs.resume_all(chosen, failed=failed, at_once=at_once, stagger_s=stagger))


@runs_app.command()
def interrupt(run: RunName, force: Force = False) -> None:
    """Stop a run now, and keep everything for `resume`."""
    from cwl_prefect.cli import runs

    runs.stop(run, for_now=True, force=force)


@runs_app.command()
def cancel(
    run: RunName,
    delete: Annotated[bool, typer.Option("--delete", help="Remove its workspaces on this machine too.")] = False,
    yes: Yes = False,
    force: Force = False,
) -> None:
    """Stop a run."""
    from cwl_prefect.cli import runs

    if delete and not yes:
        typer.confirm(f"Cancel {run} and remove its workspaces?", abort=True, err=True)
    runs.stop(run, for_now=False, force=force, delete=delete)


@runs_app.command("rm")
def remove(run: RunName, yes: Yes = False) -> None:
    """Remove a run that has ended: its workspaces on this machine, and its record in Prefect."""
    from cwl_prefect.cli import runs

    if not yes:
        typer.confirm(f"Remove {run}, its workspaces and its record?", abort=True, err=True)
    runs.remove(run)
