"""Runs in a notebook: their progress while they run, and what they gave, as HTML that loads nothing from elsewhere."""

import asyncio
import json
from collections.abc import Callable, Sequence
from html import escape
from importlib import import_module
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from pydantic import JsonValue

from cwl_prefect._lib.locations import WEB_SCHEMES, scheme_of, shown_url
from cwl_prefect._lib.uris import path_of
from cwl_prefect.errors import CwlPrefectError
from cwl_prefect.model.events import RunEnded, RunEvent, RunObserver
from cwl_prefect.model.values import CwlObject, is_file_object
from cwl_prefect.reports.page.previews import image
from cwl_prefect.reports.tally import StepCounts, Tally

REDRAWN_AFTER_S = 0.25
SHOWN_STEPS = 50
SHOWN_ITEMS = 20
LONGEST_VALUE = 1000  # characters

_COUNTS = ("cached", "running", "waiting", "failed", "skipped")


class Display(Protocol):
    """What a notebook shows, and can show anew in the same place."""

    def update(self, shown: object) -> None:
        """Show something in its place."""
        ...


class NotebookProgress(RunObserver):
    """Shows how far the steps of a run are, below the cell that runs it.

    Args:
        show: Shows an object and returns what replaces it; that of IPython where none is given.
    """

    def __init__(self, show: Callable[[object], Display] | None = None) -> None:
        self._tally = Tally()
        self._ended: RunEnded | None = None
        self._waiting: asyncio.TimerHandle | None = None
        self._display = (show or _shown_by_ipython)(self)

    def __call__(self, event: RunEvent) -> None:
        """Count an event; the table is drawn a few times a second, and once more at the end."""
        self._tally.observe(event)
        if isinstance(event, RunEnded):
            self._ended = event
            self._draw()
        elif self._waiting is None:
            self._waiting = asyncio.get_running_loop().call_later(REDRAWN_AFTER_S, self._draw)

    def _draw(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        self._display.update(self)

    def __repr__(self) -> str:
        """Return one line, for what shows no HTML."""
        return f"{self._title()}: {self._tally.calls().summary()}"

    def _repr_html_(self) -> str:
        """Return the table of steps."""
        run, steps = self._tally.run, list(self._tally.steps.values())
        rows = [_row(_cells(step)) for step in steps[:SHOWN_STEPS]]
        if len(steps) > SHOWN_STEPS:
            rows.append(_row((f"… {len(steps) - SHOWN_STEPS} more steps",)))
        if len(steps) > 1:
            rows.append(_row(_cells(self._tally.calls())))
        link = _link(self._title(), None if run is None else run.url)
        return f"<p>{link}</p><table>{_row(('step', 'done', *_COUNTS), tag='th')}{''.join(rows)}</table>"

    def _title(self) -> str:
        name = "run" if self._tally.run is None else self._tally.run.name
        return f"{name} {'running' if self._ended is None else self._ended.state}"


def _shown_by_ipython(shown: object) -> Display:
    found: Display = import_module("IPython.display").display(shown, display_id=True)
    return found


def result_html(status: str, outputs: CwlObject, errors: Sequence[CwlPrefectError], url: str | None) -> str:
    """Return what a run gave: its page, its errors, and its outputs with links to files and small images."""
    told = "".join(f"<pre>{escape(str(error))}</pre>" for error in errors)
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{_value(value)}</td></tr>" for name, value in outputs.items())
    return _as_utf_8(f"<p>{_link(f'run {status}', url)}</p>{told}<table>{rows}</table>")


def _as_utf_8(text: str) -> str:
    """Escape what stands for bytes of file names that are no text."""
    return text.encode("utf-8", "backslashreplace").decode()


def _value(value: JsonValue) -> str:
    if isinstance(value, dict) and is_file_object(value):
        return _file(value)
    if isinstance(value, list):
        items = "".join(f"<li>{_value(item)}</li>" for item in value[:SHOWN_ITEMS])
        more = f"<p>… {len(value) - SHOWN_ITEMS} more</p>" if len(value) > SHOWN_ITEMS else ""
        return f"<ol>{items}</ol>{more}"
    if isinstance(value, dict):
        rows = (f"<tr><th>{escape(str(key))}</th><td>{_value(item)}</td></tr>" for key, item in value.items())
        return f"<table>{''.join(rows)}</table>"
    text = value if isinstance(value, str) else json.dumps(value)
    return escape(text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…")


def _file(found: CwlObject) -> str:
    location, size = str(found.get("location") or ""), found.get("size")
    path = path_of(location)
    told = f" {size:,} bytes" if isinstance(size, int) else ""
    if path is None:
        return f"{escape(shown_url(location))}{told}"
    data = image(path) if found.get("class") == "File" else None
    picture = "" if data is None else f'<br><img src="{data}" alt="{escape(path.name)}" style="max-width: 40em">'
    return f"{_path(path)}{told}{picture}"


def _path(path: Path) -> str:
    """Return a path, with a link where the notebook's server may have it: below the directory of the notebook."""
    try:
        below = path.relative_to(Path.cwd())
    except ValueError:
        return escape(str(path))
    return f'<a href="{escape(quote(bytes(below)))}" target="_blank">{escape(str(below))}</a>'


def _link(text: str, url: str | None) -> str:
    if url is None or scheme_of(url) not in WEB_SCHEMES:
        return escape(text)
    return f'<a href="{escape(url)}" target="_blank" rel="noopener">{escape(text)}</a>'


def _cells(counts: StepCounts) -> tuple[str, ...]:
    done = f"{counts.succeeded + counts.cached}/{counts.total}" if counts.total else ""
    return (counts.name, done, *(str(getattr(counts, name) or "") for name in _COUNTS))


def _row(cells: Sequence[str], tag: str = "td") -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"
