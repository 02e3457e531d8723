"""What ``validate`` finds in a document, as an editor shows it beside the lines."""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from lsprotocol.types import (
    Diagnostic,
    DiagnosticRelatedInformation,
    DiagnosticSeverity,
    Location,
    Position,
    Range,
)

from cwl_prefect import api
from cwl_prefect._lib.uris import file_uri
from cwl_prefect.cwl.access.open_texts import in_editor
from cwl_prefect.cwl.checking.outside import findings_outside
from cwl_prefect.editor.outline import LARGEST_TEXT
from cwl_prefect.engine.workflow.svg import svg
from cwl_prefect.errors import DocumentError, Place
from cwl_prefect.model.findings import Finding, Severity
from cwl_prefect.settings import Settings

_SEVERITIES = {Severity.ERROR: DiagnosticSeverity.Error, Severity.WARNING: DiagnosticSeverity.Warning}
_WORD = re.compile(r"[^\s,\[\]{}#:]+|.")
_SOURCE = "cwl-prefect"


def findings_in(path: Path, texts: Mapping[Path, str], settings: Settings) -> tuple[Finding, ...]:
    """Return what ``validate`` finds in a document as it is open; nothing is fetched for it."""
    if len(texts.get(path, "")) > LARGEST_TEXT:
        text = f"it is larger than {LARGEST_TEXT // 2**20} MiB, so that it is not checked while it is edited."
        fix = "Check it by `cwl-prefect validate`."
        return (Finding.warning("too-large", text, fix),)
    images = (settings.require_containers or settings.untrusted) and settings.default_image is None
    with in_editor(texts):
        checked = api.check_document(path, images=images)
        return (*checked.findings, *findings_outside(checked.plans, settings))


def graph_of(path: Path, texts: Mapping[Path, str]) -> str:
    """Return the graph of a workflow as it is open, as SVG.

    Raises:
        DocumentError: It is not valid CWL.
        UnsupportedError: It requires a feature that this runner does not have.
    """
    if len(texts.get(path, "")) > LARGEST_TEXT:
        raise DocumentError(f"{path.name}: it is too large to be drawn.")
    with in_editor(texts):
        return svg(api.compile_document(path))


def diagnostics(findings: Iterable[Finding], path: Path, text: str) -> list[Diagnostic]:
    """Return findings of a document, and of what it refers to, as diagnostics of the document."""
    lines = text.splitlines()
    return [_diagnostic(found, path, lines) for found in findings]


def _diagnostic(found: Finding, path: Path, lines: list[str]) -> Diagnostic:
    message = found.message if found.fix is None else f"{found.message}\nTo fix: {found.fix}"
    place = found.place
    elsewhere = place is not None and not _is_of(place, path)
    related = _location(place) if place is not None and elsewhere else None
    return Diagnostic(
        range=_first_mention(place, lines) if place is not None and elsewhere else _range(place, lines),
        message=f"{place}: {message}" if elsewhere else message,
        severity=_SEVERITIES.get(found.severity),
        code=found.check,
        source=_SOURCE,
        related_information=None
        if related is None
        else [DiagnosticRelatedInformation(location=related, message=found.message)],
    )


def _is_of(place: Place, path: Path) -> bool:
    return os.path.abspath(place.document) == str(path)  # noqa: PTH100 - keeps links


def _location(place: Place) -> Location | None:
    if "://" in place.document:
        return None
    position = Position(line=place.line - 1, character=place.column - 1)
    path = os.path.abspath(place.document)  # noqa: PTH100 - keeps links
    return Location(uri=file_uri(path), range=Range(start=position, end=position))


def _first_mention(place: Place, lines: list[str]) -> Range:
    """Return where a document names another; its first line where it does not do so by its name."""
    name = place.document.rpartition("/")[2]
    number = next((number for number, line in enumerate(lines) if name in line), 0)
    column = lines[number].find(name) if lines else 0
    return _range_of(number, max(column, 0), lines)


def _range(place: Place | None, lines: list[str]) -> Range:
    return _range_of(0, 0, lines) if place is None else _range_of(place.line - 1, place.column - 1, lines)


def _range_of(number: int, column: int, lines: list[str]) -> Range:
    """Return the range of the word at a place; an editor counts code units of UTF-16."""
    line = lines[number] if 0 <= number < len(lines) else ""
    word = _WORD.match(line, column)
    end = word.end() if word is not None else len(line)
    return Range(start=_position(number, line[:column]), end=_position(number, line[:end]))


def _position(number: int, before: str) -> Position:
    return Position(line=max(number, 0), character=len(before.encode("utf-16-le", "surrogatepass")) // 2)
