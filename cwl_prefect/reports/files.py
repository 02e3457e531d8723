"""Where the traces and reports of runs are, and how they are written."""

import os
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from cwl_prefect._lib.atomic_write import is_device, write_where_named, write_whole
from cwl_prefect._lib.destinations import names_url
from cwl_prefect.errors import InputError, UsageError
from cwl_prefect.model.names import begins_id
from cwl_prefect.reports.record import Record, read_record
from cwl_prefect.reports.trace import TRACE

REPORT = "report.html"
_NAME_A_FILE = "name a file in a directory that you may write to."


class Format(StrEnum):
    """How a report is written."""

    HTML = "html"
    TSV = "tsv"
    CSV = "csv"
    JSON = "json"


def find_directory(run: str, reports: Path) -> Path:
    """Return the directory of a run's trace.

    Args:
        run: Its flow run id, the beginning of the id, its name, or ``last`` for the one that was written last.
        reports: Directory of all.

    Raises:
        InputError: There is none, or more than one.
    """
    every = sorted((path.parent for path in reports.glob(f"*/{TRACE}")), key=_written, reverse=True)
    found = every[:1] if run == "last" else [path for path in every if path.name == run]
    found = found or [path for path in every if begins_id(run, path.name)]
    found = found or [path for path in every if _name(path) == run]
    if len(found) > 1:
        raise InputError(
            f"{len(found)} runs may be meant by {run}: {', '.join(path.name for path in found[:5])}.",
            hint="give more of the flow run id.",
        )
    if not found:
        raise InputError(
            f"nothing is recorded of a run {run} on this machine.",
            hint="`cwl-prefect runs ls` lists runs; those that ran here are recorded.",
        )
    return found[0]


def rendered(record: Record, chosen: Format) -> str:
    """Return the report of a run in a format."""
    from cwl_prefect.reports import tables
    from cwl_prefect.reports.page.build import page

    match chosen:
        case Format.HTML:
            return page(record)
        case Format.TSV:
            return tables.tsv(record)
        case Format.CSV:
            return tables.csv_table(record)
        case Format.JSON:
            return tables.json_table(record)


def write_report(directory: Path) -> None:
    """Write the report of a run beside its trace; blocks.

    Raises:
        InputError: There is no trace.
        OSError: It cannot be written.
    """
    write_whole(directory / REPORT, rendered(read_record(directory), Format.HTML).encode())


def write(path: Path, text: str) -> None:
    """Write a report where its user wants it, in directories that are made where they lack.

    Raises:
        UsageError: It cannot be written.
    """
    check_targets([path])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_where_named(path, text.encode())
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.", hint=_NAME_A_FILE) from error


def check_targets(targets: Sequence[Path]) -> None:
    """Refuse, before anything runs, files that could not be written at the end.

    Raises:
        UsageError: One is a directory or a URL, or lies where none can be made.
    """
    for path in targets:
        if names_url(path):
            raise UsageError(f"{path} cannot be written: it is a URL.", hint=_NAME_A_FILE)
        if is_device(path) and os.access(path, os.W_OK):
            continue
        there = next((parent for parent in path.absolute().parents if parent.exists()), path)
        if path.is_dir() or not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            raise UsageError(f"{path} cannot be written.", hint=_NAME_A_FILE)


def _written(directory: Path) -> float:
    try:
        return (directory / TRACE).stat().st_mtime
    except OSError:
        return 0.0


def _name(directory: Path) -> str | None:
    try:
        return str(read_record(directory).started.get("name"))
    except InputError:
        return None
