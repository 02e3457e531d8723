"""The commands ``runs ls`` and ``runs show``, which need Prefect only where the user configured an API."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import typer

from cwl_prefect.cli.ages import age
from cwl_prefect.cli.failures import settings_with
from cwl_prefect.cli.log_output import configure_logging
from cwl_prefect.flows import run_lines
from cwl_prefect.flows.local_records import asking_local_server
from cwl_prefect.flows.mark import without_mark
from cwl_prefect.flows.run_lines import Filter, Line
from cwl_prefect.flows.run_records import Ask
from cwl_prefect.flows.server import configured_api
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
    found = asking(lambda ask, settings: run_lines.lines(ask, settings, chosen, limit))
    if as_json:
        typer.echo(json.dumps([dict(run_lines.details(line)) for line in found], indent=4))
        return
    rows = [("NAME", "ID", "STATE", "BEGAN", "TAGS"), *map(_row, found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        typer.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def show(run: str, *, as_json: bool) -> None:
    """Print what is known of a run.

    Raises:
        InputError: There is no such run.
        ServerError: No Prefect API can be reached or started.
    """
    found = run_lines.details(asking(lambda ask, settings: run_lines.find(ask, run, settings)))
    if as_json:
        typer.echo(json.dumps(found, indent=4))
        return
    for name, value in found.items():
        if value not in (None, [], {}):
            typer.echo(f"{name:<11}{value if isinstance(value, str) else json.dumps(value)}")


def asking(work: Callable[[Ask, Settings], Awaitable[T]]) -> T:
    """Do some work that asks the Prefect API about runs.

    Raises:
        ServerError: No Prefect API can be reached or started.
    """
    if configured_api() is not None:
        from cwl_prefect.cli.with_api import with_api
        from cwl_prefect.flows import client_records

        return with_api(lambda client, settings: work(client_records.asking(client), settings))
    configure_logging(quiet=True, verbose=False)
    return asyncio.run(_asking_local_server(work, settings_with({})))


async def _asking_local_server(work: Callable[[Ask, Settings], Awaitable[T]], settings: Settings) -> T:
    async with asking_local_server(settings) as ask:
        return await work(ask, settings)


def _row(line: Line) -> tuple[str, ...]:
    began = line.flow_run.start_time
    return (
        line.flow_run.name,
        str(line.flow_run.id),
        line.state,
        "" if began is None else f"{began.astimezone():%Y-%m-%d %H:%M:%S}",
        ",".join(without_mark(line.flow_run.tags)),
    )
