"""Build the page of a run."""

import base64
import hashlib
import html
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.resources import files
from operator import attrgetter

from cwl_prefect.model.json_text import dumps
from cwl_prefect.reports.page.graph import graph
from cwl_prefect.reports.page.previews import previews
from cwl_prefect.reports.prices import money
from cwl_prefect.reports.record import CallTry, Record, counted, states_of

_COLUMNS = tuple(name for name in CallTry.__dataclass_fields__ if name not in ("reason", "image_digest"))
_cells = attrgetter(*_COLUMNS)


def page(record: Record, *, timeline: bool = False) -> str:
    """Return the report of a run as HTML, or its timeline alone."""
    library, script = _part("uPlot.iife.min.js"), _part("page.js")
    name = str(record.started.get("name"))
    parts = {
        "title": html.escape(f"{name}: {record.started.get('workflow')}"),
        "hashes": " ".join(f"'sha256-{_hash(text)}'" for text in (library, script)),
        "styles": _part("uPlot.min.css") + _part("page.css"),
        "graph": "" if timeline else graph(record),
        "data": dumps(_data(record, timeline=timeline)).decode().replace("<", "\\u003c"),
        "library": library,
        "script": script,
    }
    pieces = _part("page.html").split("{{")
    rest = (piece.partition("}}") for piece in pieces[1:])
    return pieces[0] + "".join(parts[key] + text for key, _, text in rest)


def _part(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _data(record: Record, *, timeline: bool) -> dict[str, object]:
    return {
        "title": f"{record.started.get('workflow')}: {record.started.get('name')}",
        "only": "timeline" if timeline else None,
        "message": record.message,
        "ended_at": record.ended_at,
        "summary": [[name, text] for name, text in summary(record)],
        "steps": [asdict(step) for step in record.steps()],
        "currency": record.currency,
        "columns": list(_COLUMNS),
        "calls": [_cells(found) for found in record.tries],
        "inputs": record.started.get("inputs"),
        "outputs": record.outputs,
        "previews": {} if timeline else previews(record),
    }


def summary(record: Record) -> Iterable[tuple[str, str]]:
    """Yield what is to be known first of a run: names, and texts for people."""
    started = record.started
    yield "state", record.state
    yield "run", f"{started.get('name')} ({started.get('run')})"
    yield "workflow", f"{started.get('workflow')} ({started.get('document') or started.get('plan')})"
    began = datetime.fromtimestamp(record.began_at, UTC)
    yield "began", f"{began:%Y-%m-%d %H:%M:%S} UTC"
    if record.ended_at is not None:
        yield (
            "took",
            f"{record.ended_at - record.began_at:.1f} s"
            + (f", by {record.drivers} drivers one after the other" if record.drivers > 1 else ""),
        )
    yield "calls", counted(states_of(record.calls)) or "none"
    if record.saved_s:
        yield "saved by the cache", f"{record.saved_s:.1f} s of work"
    if record.cost is not None:
        yield "cost", money(record.cost, record.currency)
    yield "by", f"{started.get('user')} on {started.get('host')}"
    versions = started.get("versions")
    if isinstance(versions, dict):
        yield "versions", ", ".join(f"{name} {version}" for name, version in versions.items())
    if started.get("url"):
        yield "in Prefect", str(started["url"])
    if started.get("command"):
        yield "command", str(started["command"])
