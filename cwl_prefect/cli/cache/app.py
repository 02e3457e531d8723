"""The commands below ``cache``; what does the work is imported when it is needed."""

from typing import Annotated

import typer

cache_app = typer.Typer(help="The call cache: outputs of calls that need not run again.", no_args_is_help=True)

Place = Annotated[
    str | None, typer.Option("--cache", metavar="URL", help="The cache: a directory or URL; your own by default.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead.")]


@cache_app.command("ls")
def cache_ls(
    step: Annotated[str | None, typer.Option(metavar="STEP", help="Calls of this step or tool only; * is any.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The latest so many.")] = 50,
    cache: Place = None,
    as_json: AsJson = False,
) -> None:
    """List calls that are cached, the latest first."""
    from cwl_prefect.cli.cache import commands as caches

    caches.show_list(cache, step=step, limit=limit, as_json=as_json)


@cache_app.command("show")
def cache_show(
    key: Annotated[str, typer.Argument(metavar="KEY", help="A key, or the beginning of one.")],
    cache: Place = None,
) -> None:
    """Show what a call's key is made of, and what the call gave."""
    from cwl_prefect.cli.cache import commands as caches

    caches.show_entry(cache, key)


@cache_app.command("explain")
def cache_explain(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run: its name, id or beginning of the id, or `last`.")],
    step: Annotated[str, typer.Argument(metavar="STEP", help="A step, as prepare.align, or one call: align[3].")],
    cache: Place = None,
) -> None:
    """Print why calls of a step ran or were cached: which part of the key differs from the nearest earlier call."""
    from cwl_prefect.cli.cache import commands as caches

    caches.explain(cache, run, step)


@cache_app.command("verify")
def cache_verify(cache: Place = None) -> None:
    """Read everything that is kept, and remove what is damaged; exits with 1 where something was."""
    from cwl_prefect.cli.cache import commands as caches

    raise typer.Exit(caches.verify_all(cache))


@cache_app.command("gc")
def cache_gc(
    older_than: Annotated[
        str | None, typer.Option(metavar="TIME", help="Remove what was not used for so long, as 30d or 12h.")
    ] = None,
    max_size: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Remove what was used longest ago until so much is left: 50G.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be removed.")] = False,
    cache: Place = None,
) -> None:
    """Remove what is old or too much, and files that no call is left for."""
    from cwl_prefect.cli.cache import commands as caches

    caches.collect(cache, older_than=older_than, max_size=max_size, dry_run=dry_run)


@cache_app.command("clear")
def cache_clear(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False, cache: Place = None
) -> None:
    """Remove everything from the cache."""
    from cwl_prefect.cli.cache import commands as caches

    caches.clear(cache, yes=yes)
