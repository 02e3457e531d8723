"""The tries of a run as a table: TSV with Nextflow's columns, CSV and JSON with those of the trace."""

import csv
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime

from cwl_prefect.reports.record import CallTry, Record

_MIB = 1 << 20
_STATUS = {
    "succeeded": "COMPLETED",
    "failed": "FAILED",
    "retrying": "FAILED",
    "cached": "CACHED",
    "cancelled": "ABORTED",
    "skipped": "SKIPPED",
    "running": "RUNNING",
}

COLUMNS: Mapping[str, Callable[[CallTry], object]] = {
    "native_id": lambda found: found.container,
    "process": lambda found: found.step,
    "name": lambda found: found.call,
    "status": lambda found: _STATUS.get(found.state, found.state.upper()),
    "exit": lambda found: found.exit_code,
    "attempt": lambda found: found.number,
    "container": lambda found: found.image,
    "cpus": lambda found: None if found.cores is None else f"{found.cores:g}",
    "memory": lambda found: None if found.ram_mib is None else round(found.ram_mib * _MIB),
    "hostname": lambda found: found.node,
    "submit": lambda found: _milliseconds(found.prepared_at),
    "start": lambda found: _milliseconds(found.started_at),
    "complete": lambda found: _milliseconds(found.ended_at),
    "duration": lambda found: _milliseconds(_between(found.prepared_at, found.collected_at)),
    "realtime": lambda found: _milliseconds(found.running_s),
    "%cpu": lambda found: None if found.average_cores is None else round(100 * found.average_cores, 1),
    "peak_rss": lambda found: None if found.peak_memory_mib is None else round(found.peak_memory_mib * _MIB),
    "read_bytes": lambda found: found.read_bytes,
    "write_bytes": lambda found: found.written_bytes,
}
"""Columns of the TSV, which mean what they mean to Nextflow with ``trace.raw``: bytes and milliseconds."""

_COST: Mapping[str, Callable[[CallTry], object]] = {
    "cost": lambda found: None if found.cost is None else round(found.cost, 6),
}


def tsv(record: Record) -> str:
    """Return the tries as TSV; ``-`` is what is not known."""
    columns = {**COLUMNS, **({} if record.currency is None else _COST)}
    rows = [[_text(value(found)) for value in columns.values()] for found in record.tries]
    numbered = (["task_id", *columns], *([str(number), *row] for number, row in enumerate(rows, 1)))
    return "".join("\t".join(row) + "\n" for row in numbered)


def csv_table(record: Record) -> str:
    """Return the tries as CSV, with the members of the trace as columns."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, fieldnames=list(CallTry.__dataclass_fields__), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _safe(value) for name, value in asdict(found).items()} for found in record.tries)
    return stream.getvalue()


def json_table(record: Record) -> str:
    """Return the run with its steps and tries as JSON."""
    found = {
        "run": {name: value for name, value in record.started.items() if name not in ("event", "drawing")},
        "state": record.state,
        "message": record.message,
        "began": _iso(record.began_at),
        "ended": None if record.ended_at is None else _iso(record.ended_at),
        "drivers": record.drivers,
        "saved_s": record.saved_s,
        "cost": record.cost,
        "currency": record.currency,
        "outputs": record.outputs,
        "steps": [asdict(step) for step in record.steps()],
        "tries": [asdict(found) for found in record.tries],
    }
    return json.dumps(found, indent=1) + "\n"


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


def _between(began: float | None, ended: float | None) -> float | None:
    return None if began is None or ended is None else max(0.0, ended - began)


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


def _text(value: object) -> str:
    return "-" if value is None else " ".join(str(value).split()) or "-"


def _safe(value: object) -> object:
    """Return a value that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
