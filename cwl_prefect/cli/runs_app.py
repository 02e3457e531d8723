"""The commands ``cwl-prefect runs`` and their arguments; what does the work is imported when it is needed."""

from typing import Annotated

import typer

runs_app = typer.Typer(help="Runs so far: look at them, stop them, go on with them.", no_args_is_help=True)

RunName = Annotated[
    str, typer.Argument(metavar="RUN", help="A run: its name, its flow run id, or the beginning of the id.")
]


@runs_app.command()
def resume(
    run: RunName,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more: every call, and logs.")] = False,
) -> None:
    """Run again what a run did not finish, as the same flow run; the output object is printed as JSON."""
    from cwl_prefect.cli import runs

    raise typer.Exit(runs.resume(run, quiet=quiet, verbose=verbose))
