"""The commands ``runs ls`` and ``runs show``, which need Prefect only where the user configured an API."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from cwl_prefect.cli.failures import settings_with
from cwl_prefect.cli.log_output import configure_logging
from cwl_prefect.cli.quantities import duration
from cwl_prefect.cli.terminal import results_only, tell, tell_table, write_results
from cwl_prefect.errors import InputError
from cwl_prefect.flows.prefect_names import without_mark
from cwl_prefect.model.values import CwlObject
from cwl_prefect.reports.prices import money, priced
from cwl_prefect.reports.record import Record, StepSummary, counted, read_record
from cwl_prefect.runs import listing, records
from cwl_prefect.runs.known_run import local_time
from cwl_prefect.runs.listing import Filter, Line
from cwl_prefect.runs.records import Ask, ResultsRecord, posting_to_local_server
from cwl_prefect.server.client import Post
from cwl_prefect.server.client import posting as posting_by
from cwl_prefect.server.local_server import configured_api
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
        newer_than=None if newer_than is None else duration(newer_than, "--newer-than"),
        older_than=None if older_than is None else duration(older_than, "--older-than"),
    )


def list_runs(chosen: Filter, *, limit: int, as_json: bool) -> None:
    """Print the latest runs.

    Raises:
        ServerError: No Prefect API can be reached or started.
    """

    async def read(post: Post, settings: Settings) -> list[Line]:
        """Ask for the runs, and for the names of their workflows."""
        return await listing.with_workflows(post, await listing.lines(records.asking(post), settings, chosen, limit))

    found = posting(read)
    if as_json:
        tell(json.dumps([dict(listing.details(line)) for line in found], indent=4))
        return
    rows = [
        ("NAME", "ID", "WORKFLOW", "STATE", "BEGINS" if chosen.scheduled else "BEGAN", "TOOK", "TAGS"),
        *map(_row, found),
    ]
    tell_table(rows)


def show(run: str, *, as_json: bool, prices: Path | None = None) -> None:
    """Print what is known of a run.

    Args:
        run: Its name or id.
        as_json: Print JSON.
        prices: File of prices, by which is said what each step cost.

    Raises:
        InputError: There is no such run, or there are prices and nothing is recorded of it on this machine.
        UsageError: There are no prices in their file.
        ServerError: No Prefect API can be reached or started.
    """

    async def read(post: Post, settings: Settings) -> tuple[Line, ResultsRecord | None]:
        """Find the run, the name of its workflow, and what the API was told of its results."""
        (line,) = await listing.with_workflows(post, [await listing.find(records.asking(post), run, settings)])
        return line, await records.results_told(post, str(line.flow_run.id))

    line, told = posting(read)
    record = _record_of(str(line.flow_run.id), settings_with({}), prices)
    steps = [] if record is None else record.steps()
    found = {**listing.details(line), **_data(line, told, settings_with({}))}
    if record is not None and record.cost is not None:
        found |= {"cost": round(record.cost, 6), "currency": record.currency}
    if as_json:
        tell(json.dumps({**found, "steps": [asdict(step) for step in steps]}, indent=4))
        return
    for name, value in found.items():
        if value not in (None, [], {}):
            tell(f"{name:<11}{value if isinstance(value, str) else json.dumps(value)}")
    if steps:
        tell("")
        tell_table(_step_table(steps, None if record is None else record.currency))


def _data(line: Line, told: ResultsRecord | None, settings: Settings) -> dict[str, object]:
    """Return what went into a run and came of it: as this machine recorded it, or else as the API knows it."""
    try:
        recorded = read_record(settings.reports / str(line.flow_run.id))
    except InputError:
        ended = {} if told is None else {"outdir": told.outdir, "outputs": told.outputs}
        return {"inputs": dict(line.flow_run.parameters), **ended}
    began = {name: recorded.started.get(name) for name in ("inputs", "outdir")}
    return {name: value for name, value in {**began, "outputs": recorded.outputs}.items() if value is not None}


def _recorded_outputs(run_id: str, settings: Settings) -> CwlObject:
    try:
        found = read_record(settings.reports / run_id).outputs
    except InputError:
        return {}
    return found if isinstance(found, dict) else {}


def _record_of(run_id: str, settings: Settings, prices: Path | None) -> Record | None:
    """Return what was recorded of a run on this machine, with its costs where there are prices."""
    try:
        return priced(read_record(settings.reports / run_id), prices)
    except InputError:
        if prices is not None:
            raise
        return None


def outputs(run: str) -> None:
    """Print the output object of a run.

    Raises:
        InputError: There is no such run, or nothing is known of its outputs.
        ServerError: No Prefect API can be reached or started.
    """

    async def read(post: Post, settings: Settings) -> CwlObject:
        """Find the run, and read what came of it: as this machine recorded it, or the API was told."""
        line = await listing.find(records.asking(post), run, settings)
        return _recorded_outputs(str(line.flow_run.id), settings) or await listing.outputs(post, line)

    found = posting(read)
    with results_only() as results:
        write_results(found, results)


def asking(work: Callable[[Ask, Settings], Awaitable[T]]) -> T:
    """Do some work that asks the Prefect API about runs.

    Raises:
        ServerError: No Prefect API can be reached or started.
    """
    return posting(lambda post, settings: work(records.asking(post), settings))


def posting(work: Callable[[Post, Settings], Awaitable[T]]) -> T:
    """Do some work with the Prefect API that runs use.

    Raises:
        ServerError: No Prefect API can be reached or started.
    """
    if configured_api() is not None:
        from cwl_prefect.cli.runs.with_api import with_api

        return with_api(lambda client, settings: work(posting_by(client), settings))
    configure_logging(quiet=True, verbose=False)
    return asyncio.run(_posting_to_local_server(work, settings_with({})))


async def _posting_to_local_server(work: Callable[[Post, Settings], Awaitable[T]], settings: Settings) -> T:
    async with posting_to_local_server(settings) as post:
        return await work(post, settings)


def _step_table(steps: Sequence[StepSummary], currency: str | None) -> list[tuple[str, ...]]:
    """Return what each step used, and what it cost where there is a currency."""
    heads = ("STEP", "CALLS", "TIME", "CPU", "MEMORY", "SAVED")
    if currency is None:
        return [heads, *map(_step_row, steps)]
    return [(*heads, "COST"), *((*_step_row(step), money(step.cost, currency)) for step in steps)]


def _step_row(step: StepSummary) -> tuple[str, ...]:
    return (
        step.step,
        counted(step.states),
        f"{step.running_s:.1f} s",
        "" if step.cpu_s is None else f"{step.cpu_s:.1f} s",
        "" if step.peak_memory_mib is None else f"{step.peak_memory_mib:.0f} MiB",
        f"{step.saved_s:.1f} s" if step.saved_s else "",
    )


def _row(line: Line) -> tuple[str, ...]:
    run = line.flow_run
    began = run.expected_start_time if line.state == "Scheduled" else run.start_time
    return (
        line.flow_run.name,
        str(line.flow_run.id),
        line.workflow or "",
        line.state,
        local_time(began),
        "" if line.took is None else str(timedelta(seconds=round(line.took.total_seconds()))),
        ",".join(without_mark(line.flow_run.tags)),
    )
