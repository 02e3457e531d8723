"""What may be written at a position: ports, sources, fields, classes and types."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cwl_prefect.cwl.checking.vocabulary import Term, fields_at
from cwl_prefect.cwl.loading.suggestions import CLASSES, REQUIREMENTS, TYPES
from cwl_prefect.editor.documents import Process, ran_by
from cwl_prefect.editor.outline import Spot, entries, parsed, process_class, spot_of
from cwl_prefect.editor.references import Place, place_in_process, sources, step_of

_MARK = "cwl-prefect-is-asked-here"
_KEY = re.compile(r"^(?P<lead>\s*(?:-\s+)*)[\w$.-]*$")
_VALUE = re.compile(r"^(?P<lead>\s*(?:-\s+)*[\w$.-]+\s*:\s+)(?P<open>\[?)[^{}]*$")
_READ = re.compile(r"\b(?P<of>inputs|runtime)\.\w*$")
_RUNTIME = ("outdir", "tmpdir", "cores", "ram", "outdirSize", "tmpdirSize")
_OF_REQUIREMENTS = ("requirements", "hints")


class Kind(StrEnum):
    """What a suggestion is."""

    FIELD = "field"
    PORT = "port"
    CLASS = "class"
    VALUE = "value"


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """What may be written: its text, what it is, and what there is to say of it."""

    written: str
    kind: Kind
    detail: str = ""
    doc: str = ""


def suggestions(whole: str, line: int, column: int, path: Path, texts: Mapping[Path, str]) -> list[Suggestion]:
    """Return what may be written at a position.

    Args:
        whole: The text of the document.
        line: The line, from 0.
        column: The column in it, from 0.
        path: Where the document lies.
        texts: The texts that are open.
    """
    lines = whole.split("\n")
    if line >= len(lines):
        return []
    before = lines[line][:column]
    read = _READ.search(before)
    marked = _marked(before, is_expression=read is not None)
    if marked is None:
        return []
    root = parsed("\n".join([*lines[:line], marked, *lines[line + 1 :]]))
    spot = spot_of(root, _MARK)
    if spot is None:
        return []
    place = place_in_process(root, spot, path)
    if place is None:
        return _of_no_process(spot)
    return list(_read(place, read["of"]) if read is not None else _at(place, texts))


def _marked(before: str, *, is_expression: bool) -> str | None:
    """Return the line with the mark where the position is, so that it is YAML again."""
    if (key := _KEY.match(before)) is not None:
        return f"{key['lead']}{_MARK}: " if not key["lead"].strip() else f"{key['lead']}{_MARK}"
    value = _VALUE.match(before)
    if value is not None:
        return f"{value['lead']}[{_MARK}]" if value["open"] else f"{value['lead']}{_MARK}"
    lead = re.match(r"^\s*(?:-\s+)*(?:[\w$.-]+\s*:\s+)?", before)
    return f"{lead[0]}{_MARK}" if is_expression and lead is not None else None


def _of_no_process(spot: Spot) -> list[Suggestion]:
    """Return what a document begins with."""
    if spot.names == ("class",):
        return [Suggestion(written=name, kind=Kind.CLASS) for name in CLASSES]
    return _fields(fields_at("CommandLineTool", ()), ()) if len(spot.path) == 1 and spot.on_key else []


def _read(place: Place, of: str) -> Iterator[Suggestion]:
    if of == "runtime":
        yield from (Suggestion(written=name, kind=Kind.VALUE) for name in _RUNTIME)
        return
    step = step_of(place)
    process = place.process if step is None else Process(path=place.process.path, node=step.value)
    yield from (_port(name, "input") for name in process.ports("inputs" if step is None else "in"))


def _at(place: Place, texts: Mapping[Path, str]) -> list[Suggestion]:
    step = step_of(place)
    ran = None if step is None else ran_by(step.value, place.process.path, texts)
    names, on_key = place.names, place.spot.on_key
    within = names[2:] if step is not None else names
    match within:
        case ("in", _) if on_key:
            given = () if step is None else Process(path=place.process.path, node=step.value).ports("in")
            return [_port(name, "input") for name in _others(ran, "inputs", given)]
        case ("in", _) | ("in", _, "source", *_):
            return [_port(name, kind) for name, kind in sources(place.process).items()]
        case ("out", *_) if step is not None:
            return [_port(name, "output") for name in _others(ran, "outputs", ())]
        case ("scatter", *_) if step is not None:
            given = Process(path=place.process.path, node=step.value).ports("in")
            return [_port(name, "input of the step") for name in given]
        case ("outputs", _, "outputSource", *_):
            return [_port(name, kind) for name, kind in sources(place.process).items()]
        case _:
            return _of_language(place)


def _of_language(place: Place) -> list[Suggestion]:
    *path, last = place.names
    if path[-1:] and path[-1] in _OF_REQUIREMENTS:
        return [Suggestion(written=name, kind=Kind.CLASS) for name in REQUIREMENTS]
    if last == "class":
        names = REQUIREMENTS if any(field in path for field in _OF_REQUIREMENTS) else CLASSES
        return [Suggestion(written=name, kind=Kind.CLASS) for name in names]
    is_port = len(path) == 1 and path[0] in ("inputs", "outputs")
    if not place.spot.on_key and (last == "type" or is_port):
        return [Suggestion(written=name, kind=Kind.CLASS) for name in TYPES]
    terms = fields_at(process_class(place.process.node) or "", path)
    if place.spot.on_key:
        around = place.spot.path[-2].value if len(place.spot.path) > 1 else place.process.node
        return _fields(terms, [entry.name for entry in entries(around)])
    values = next((term.values for term in terms if term.name == last), ())
    return [Suggestion(written=value, kind=Kind.VALUE) for value in values]


def _fields(terms: Iterable[Term], there: Iterable[str]) -> list[Suggestion]:
    known = set(there)
    return [Suggestion(written=term.name, kind=Kind.FIELD, doc=term.doc) for term in terms if term.name not in known]


def _others(process: Process | None, field: str, given: Iterable[str]) -> list[str]:
    """Return the ports of what a step runs that are not given yet."""
    return [] if process is None else [name for name in process.ports(field) if name not in set(given)]


def _port(name: str, detail: str) -> Suggestion:
    return Suggestion(written=name, kind=Kind.PORT, detail=detail)
