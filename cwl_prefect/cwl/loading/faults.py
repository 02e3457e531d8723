"""What is wrong with a document: one line for each fault, its place first."""

import re
import urllib.parse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from schema_salad.exceptions import SchemaSaladException

from cwl_prefect._lib.uris import path_of
from cwl_prefect.cwl.access.open_texts import text_of
from cwl_prefect.cwl.loading.rewording import NOT_FETCHED, is_whole, of_link, read_place, reworded
from cwl_prefect.cwl.values.messages import document_message, readable_path, short_path
from cwl_prefect.errors import DocumentError, Fault, Place

MOST_FAULTS = 10

_PLACED = re.compile(r"^(?P<place>\S.*?:\d+:\d+):(?P<indent>\s+)(?P<text>.*)$")
_LEADS_ON = re.compile(r"checking (?:field|object|item)\b|the [`'].*[`'] field is not valid because")
_FETCHING = re.compile(r"Error fetching (?P<url>\S+): .*", re.DOTALL)
_FIELD = re.compile(r"^the '(.+)' field is not valid because$")
_WRONG_KIND = re.compile(r"is not a valid enum_[0-9a-f]+|Expected class '")
_MEMORY_ADDRESS = re.compile(r"^\(\d{9,}\) \((?P<file>file://[^)]*)\)")
_OF_PARSER = ("while parsing", "while scanning", "while constructing", "mapping values", "found ")
_OF_STEP = "Tool definition "  # before what is wrong with what a step runs
_NO_VERSION = "No cwlVersion found"
_OLD_VERSION = "no longer supports pre CWL v1.0 documents"


def faults_of(error: Exception, document: str) -> tuple[Fault, ...]:
    """Return what is wrong with a document, file by file and line by line."""
    return tuple(_in_order(dict.fromkeys(_faults(error, document))))


def described(faults: Sequence[Fault], document: str) -> str:
    """Describe what is wrong with a document: the place of each fault and the fault itself, on a line for each."""
    lines = [str(fault) if fault.place else f"{document}: {fault.text}" for fault in faults[:MOST_FAULTS]]
    if len(faults) > MOST_FAULTS:
        lines.append(f"… and {len(faults) - MOST_FAULTS} more.")
    return "\n".join(lines)


def document_error(faults: Sequence[Fault], document: str) -> DocumentError:
    """Return the error of a document that has faults; what to do about one of them alone is its hint."""
    fixes = dict.fromkeys(fault.fix for fault in faults if fault.fix)
    return DocumentError(
        described(faults, document), hint=next(iter(fixes)) if len(fixes) == 1 else None, faults=faults
    )


def _in_order(faults: Iterable[Fault]) -> list[Fault]:
    """Sort faults by their lines, file by file in the order in which the files come."""
    kept = list(faults)
    files = [fault.place.document if fault.place else "" for fault in kept]
    order = {file: number for number, file in reversed(list(enumerate(files)))}
    keys = {fault: (order[file], _line_and_column(fault.place)) for fault, file in zip(kept, files, strict=True)}
    return sorted(kept, key=keys.__getitem__)


def place_in(document: str, pattern: str) -> Place | None:
    """Find the first line of a local document that a pattern matches."""
    path = path_of(urllib.parse.urldefrag(document).url)
    if path is None:
        return None
    try:
        text = text_of(path)
    except OSError:
        return None
    found = re.search(pattern, text, re.MULTILINE)
    if found is None:
        return None
    start = found.start(1) if found.re.groups else found.start()
    line = text.count("\n", 0, start) + 1
    column = start - text.rfind("\n", 0, start)
    return Place(document=short_path(str(path)), line=line, column=column)


def _faults(error: Exception, document: str) -> Iterator[Fault]:
    if isinstance(error.__cause__, SchemaSaladException) and str(error).startswith(_OF_STEP):
        yield from _faults(error.__cause__, document)
        return
    if not isinstance(error, SchemaSaladException):
        yield from _of_text(str(error), document)
        return
    if error.message.startswith(_OF_PARSER):
        leaf = error.leaves()[-1]
        yield reworded(Fault(place=_place(leaf), text=f"not YAML: {leaf.message}"))
        return
    if not any(node.file for node in error.leaves()):
        yield from _unplaced(error, document)
        return
    for leaf, path, text in _leaves(error, ()):
        field = f"{'.'.join(path)}: " if path else ""
        fault = reworded(Fault(place=_place(leaf), text=text))
        yield replace(fault, text=field + fault.text)


def _unplaced(error: SchemaSaladException, document: str) -> Iterator[Fault]:
    """Find the place of a file that cannot be had; other messages hold their places as text."""
    source = _MEMORY_ADDRESS.match(error.message)
    if source is None:
        fetching = _FETCHING.match(error.leaves()[0].message)
        if fetching is not None and fetching["url"] == urllib.parse.urldefrag(document).url:
            yield Fault(text=NOT_FETCHED)
        else:
            yield from _of_text(str(error), document)
        return
    for leaf in error.leaves():
        fetching = _FETCHING.match(leaf.message)
        if fetching is not None:
            place = place_in(source["file"], re.escape(fetching["url"]))
            yield Fault(place=place, text=f"{fetching['url']}: {NOT_FETCHED}")
            continue
        missing = re.search(r"No such file or directory: '(.*)'", leaf.message)
        name = Path(missing.group(1)).name if missing else ""
        place = place_in(source["file"], rf"\$(?:import|include)\W.*{re.escape(name)}") if name else None
        text = f"{short_path(missing.group(1))}: no such file" if missing else document_message(leaf.message)
        yield Fault(place=place, text=text)


def _leaves(
    node: SchemaSaladException, path: tuple[str, ...]
) -> Iterator[tuple[SchemaSaladException, tuple[str, ...], str]]:
    """Walk to what is wrong, past the alternatives that were never meant."""
    field = _FIELD.match(node.message)
    inner = (*path, field.group(1)) if field else path
    if not node.children:
        yield node, path, node.message
        return
    alternatives = [child for child in node.children if child.message.startswith("tried ")]
    if len(alternatives) < 2:
        for child in node.children:
            yield from _leaves(child, inner)
        return
    meant = [child for child in alternatives if not _of_another_kind(child)]
    if len(meant) == 1:
        yield from _leaves(meant[0], inner)
        return
    texts = [text for child in meant or alternatives for _, _, text in _leaves(child, ())]
    yield node, inner, ", or ".join(dict.fromkeys(texts))


def _of_another_kind(alternative: SchemaSaladException) -> bool:
    """Check whether something says by its type or class that it is none of an alternative."""
    for child in alternative.children:
        field = _FIELD.match(child.message)
        if field and field.group(1) in ("type", "class") and any(_WRONG_KIND.search(c.message) for c in child.leaves()):
            return True
        if _WRONG_KIND.search(child.message):
            return True
    return False


def _place(node: SchemaSaladException) -> Place | None:
    if node.file is None:
        return None
    line, column = node.start or (1, 1)
    return Place(document=document_message(readable_path(node.file)), line=line, column=column)


def _known(text: str, document: str) -> Fault | None:
    """Return the fault of a text that has no places, or gives advice of its own."""
    if text.startswith("The following steps have circular dependency"):
        return _cycle(text, document)
    if _NO_VERSION in text:
        place = place_in(document.partition("#")[0], r"^[^#\s]")
        return Fault(place=place, text="there is no cwlVersion", fix="Write `cwlVersion: v1.2` in the first line.")
    if _OLD_VERSION in text:
        place = place_in(document.partition("#")[0], r"^cwlVersion:")
        return Fault(place=place, text="cwlVersion: not supported; write v1.0, v1.1 or v1.2")
    return None


def _of_text(text: str, document: str) -> Iterator[Fault]:
    """Read faults from a text in which places stand before lines, and continued lines are indented further."""
    if (known := _known(text, document)) is not None:
        yield known
        return
    current: Fault | None = None
    depth = 0
    for line in document_message(text).splitlines():
        placed = _PLACED.match(line)
        if placed is None:
            if current is not None or not line.endswith(":"):
                current = _continued(current, line.strip(), None)
        elif current is not None and _LEADS_ON.match(current.text):
            current, depth = Fault(place=read_place(placed["place"]), text=placed["text"]), placed.start("text")
        elif current is not None and placed.start("text") > depth and not is_whole(current):
            current = _continued(current, placed["text"], placed["place"])
        else:
            if current is not None and current.place is not None:
                yield of_link(current)
            current, depth = Fault(place=read_place(placed["place"]), text=placed["text"]), placed.start("text")
    if current is not None:
        yield of_link(current)


def _continued(fault: Fault | None, text: str, place: str | None) -> Fault:
    if fault is None:
        return reworded(Fault(text=text))
    shown = f"{text} ({place})" if place else text
    return Fault(place=fault.place, text=f"{fault.text} {shown}".strip())


def _cycle(text: str, document: str) -> Fault:
    """Name the steps of a cycle in the order in which the document writes them: the text has them in any order."""
    names = {urllib.parse.unquote(name).rpartition("/")[2] for name in re.findall(r"#([^']*)'", text)}
    places = {name: _place_of_step(name, document) for name in names}
    steps = sorted(names, key=lambda name: (_line_and_column(places[name]), name))
    return Fault(
        place=next((places[name] for name in steps if places[name]), None),
        text=f"these steps wait for each other in a cycle: {', '.join(steps)}",
    )


def _place_of_step(name: str, document: str) -> Place | None:
    return place_in(document.partition("#")[0], rf"^\s*(?:-\s*)?(?:id:\s*)?[\"']?({re.escape(name)})[\"']?\s*(?::|$)")


def _line_and_column(place: Place | None) -> tuple[int, int]:
    return (0, 0) if place is None else (place.line, place.column)
