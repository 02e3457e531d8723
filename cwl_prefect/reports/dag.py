"""The graph of a run with the states of its calls, as a file of its own."""

import html
from pathlib import Path

from cwl_prefect.engine.workflow.graph import dot_of
from cwl_prefect.engine.workflow.svg import rendered
from cwl_prefect.errors import InputError, UsageError
from cwl_prefect.reports.page.graph import graph, whole_graph
from cwl_prefect.reports.record import Record


def check_dag(path: Path) -> None:
    """Refuse a file whose name does not say how the graph is to be written.

    Raises:
        UsageError: It does not.
    """
    if path.suffix not in (".svg", ".html", ".dot"):
        raise UsageError(f"--dag: {path} does not say how to write it.", hint="end its name in .svg, .html or .dot.")


def dag(record: Record, path: Path) -> str:
    """Return the graph of a run as the name of its file says: SVG, HTML or DOT.

    Raises:
        InputError: The record has no graph.
    """
    drawing = whole_graph(record)
    if drawing is None:
        raise InputError("the trace of the run has no graph.", hint="an earlier version of cwl-prefect wrote it.")
    if path.suffix == ".html":
        return _html(record)
    return rendered(drawing) if path.suffix == ".svg" else dot_of(drawing)


def _html(record: Record) -> str:
    title = html.escape(f"{record.started.get('workflow')}: {record.started.get('name')}, {record.state}")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{title}</title></head>\n<body><h1>{title}</h1>\n{graph(record)}\n</body></html>\n"
    )
