"""What is wrong with a document: one line for each fault, its place first."""

import re
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from schema_salad.exceptions import SchemaSaladException

from cwl_prefect.cwl.messages import document_message, readable_path, short_path

MOST_FAULTS = 10

_PLACED = re.compile(r"^(?P<place>\S.*?:\d+:\d+):(?P<indent>\s+)(?P<text>.*)$")
_LEADS_ON = re.compile(r"checking (?:field|object|item)\b|the [`'].*[`'] field is not valid because")
_FETCHING = re.compile(r"Error fetching (?P<url>\S+): .*", re.DOTALL)
_FIELD = re.compile(r"^the '(.+)' field is not valid because$")
_WRONG_KIND = re.compile(r"is not a valid enum_[0-9a-f]+|Expected class '")
_OF_ANOTHER_TYPE = (
    re.compile(r"Expected class '.*\.(\w+)' but this is '.*'"),
    re.compile(r"is not a dict\. Expected an? (\w+) object\."),
    re.compile(r"the value is not (.*)"),
    re.compile(r"value is a \w+,? (?:but )?expected (.*)"),
    re.compile(r".* is not (int|long|float|double|boolean|string)", re.DOTALL),
)
_MEMORY_ADDRESS = re.compile(r"^\(\d{9,}\) \((?P<file>file://[^)]*)\)")
_NOT_FETCHED = "it cannot be fetched; check the address and the network"
_OF_PARSER = ("while parsing", "while scanning", "while constructing", "mapping values", "found ")
_OLD_VERSION = "no longer supports pre CWL v1.0 documents"
_URL = re.compile(r"file://[^\s'\"#]*/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault and its place, as ``workflow.cwl:3:5``; without one where it is not known."""

    text: str
    place: str | None = None

    def __str__(self) -> str:
        return self.text if self.place is None else f"{self.place}: {self.text}"


def describe_faults(error: Exception, document: str) -> str:
    """Tell what is wrong with a document: the place of each fault and the fault itself, on a line for each."""
    found = _in_order(dict.fromkeys(_faults(error, document)))
    lines = [str(fault) if fault.place else f"{document}: {fault.text}" for fault in found[:MOST_FAULTS]]
    if len(found) > MOST_FAULTS:
        lines.append(f"… and {len(found) - MOST_FAULTS} more.")
    return "\n".join(lines)


def _in_order(faults: Iterable[Fault]) -> list[Fault]:
    """Sort faults by their lines, file by file in the order in which the files come."""
    kept = list(faults)
    files = [fault.place.rsplit(":", 2)[0] if fault.place else "" for fault in kept]
    order = {file: number for number, file in reversed(list(enumerate(files)))}
    keys = {fault: (order[file], _line_and_column(fault.place)) for fault, file in zip(kept, files, strict=True)}
    return sorted(kept, key=keys.__getitem__)


def value_faults(error: SchemaSaladException) -> list[tuple[str | None, str]]:
    """Tell what is wrong with values: for each fault the name of the outermost field, if any, and the fault."""
    return [(path[0] if path else None, _reworded_value(text)) for _, path, text in _leaves(error, ())]


def place_in(document: str, pattern: str) -> str | None:
    """Find the first line of a local document that a pattern matches, as ``workflow.cwl:3:5``."""
    path = Path(urllib.parse.unquote(urllib.parse.urlsplit(document).path)) if ":" in document else Path(document)
    try:
        text = path.read_text("utf-8", "replace")
    except OSError:
        return None
    found = re.search(pattern, text, re.MULTILINE)
    if found is None:
        return None
    start = found.start(1) if found.re.groups else found.start()
    line = text.count("\n", 0, start) + 1
    return f"{short_path(str(path))}:{line}:{start - text.rfind(chr(10), 0, start)}"


def _faults(error: Exception, document: str) -> Iterator[Fault]:
    if not isinstance(error, SchemaSaladException):
        yield from _of_text(str(error), document)
        return
    if error.message.startswith(_OF_PARSER):
        leaf = error.leaves()[-1]
        yield Fault(place=_place(leaf), text=f"not YAML: {leaf.message}")
        return
    if not any(node.file for node in error.leaves()):
        yield from _unplaced(error, document)
        return
    for leaf, path, text in _leaves(error, ()):
        field = f"{'.'.join(path)}: " if path else ""
        yield Fault(place=_place(leaf), text=field + _reworded(text))


def _unplaced(error: SchemaSaladException, document: str) -> Iterator[Fault]:
    """Find the place of a file that cannot be had; other messages hold their places as text."""
    source = _MEMORY_ADDRESS.match(error.message)
    if source is None:
        yield from _of_text(str(error), document)
        return
    for leaf in error.leaves():
        fetching = _FETCHING.match(leaf.message)
        if fetching is not None:
            place = place_in(source["file"], re.escape(fetching["url"]))
            yield Fault(place=place, text=f"{fetching['url']}: {_NOT_FETCHED}")
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
    """Tell whether something says by its type or class that it is none of an alternative."""
    for child in alternative.children:
        field = _FIELD.match(child.message)
        if field and field.group(1) in ("type", "class") and any(_WRONG_KIND.search(c.message) for c in child.leaves()):
            return True
        if _WRONG_KIND.search(child.message):
            return True
    return False


def _place(node: SchemaSaladException) -> str | None:
    if node.file is None:
        return None
    line, column = node.start or (1, 1)
    return f"{document_message(readable_path(node.file))}:{line}:{column}"


def _of_text(text: str, document: str) -> Iterator[Fault]:
    """Read faults from a text in which places stand before lines, and continued lines are indented further."""
    if text.startswith("The following steps have circular dependency"):
        yield _cycle(text, document)
        return
    if _OLD_VERSION in text:
        place = place_in(document.partition("#")[0], r"^cwlVersion:")
        yield Fault(place=place, text="cwlVersion: not supported; write v1.0, v1.1 or v1.2")
        return
    current: Fault | None = None
    depth = 0
    for line in document_message(text).splitlines():
        placed = _PLACED.match(line)
        if placed is None:
            if current is not None or not line.endswith(":"):
                current = _continued(current, line.strip(), None)
        elif current is not None and _LEADS_ON.match(current.text):
            current, depth = Fault(place=placed["place"], text=placed["text"]), placed.start("text")
        elif current is not None and current.place is not None and placed.start("text") > depth:
            current = _continued(current, placed["text"], placed["place"])
        else:
            if current is not None and current.place is not None:
                yield _of_link(current)
            current, depth = Fault(place=placed["place"], text=placed["text"]), placed.start("text")
    if current is not None:
        yield _of_link(current)


def _continued(fault: Fault | None, text: str, place: str | None) -> Fault:
    if fault is None:
        return Fault(text=_reworded(text))
    shown = f"{text} ({place})" if place else text
    return Fault(place=fault.place, text=f"{fault.text} {shown}".strip())


def _of_link(fault: Fault) -> Fault:
    """Give a fault between a source and a sink the place of the sink, where the link is written."""
    link = re.fullmatch(
        r"Source '(?P<source>.*)' of type (?P<given>.*) is incompatible"
        r" with sink '(?P<sink>.*)' of type (?P<wanted>.*) \((?P<place>[^()]*:\d+:\d+)\)(?P<rest>.*)",
        fault.text,
    )
    if link is None:
        return Fault(place=fault.place, text=_reworded(fault.text))
    text = (
        f"{link['sink']} has the type {link['wanted']}, its source {link['source']} has the type {link['given']}"
        f" ({fault.place}){link['rest']}"
    )
    return Fault(place=link["place"], text=text)


def _cycle(text: str, document: str) -> Fault:
    """Name the steps of a cycle in the order in which the document writes them: the text has them in any order."""
    names = {urllib.parse.unquote(name).rpartition("/")[2] for name in re.findall(r"#([^']*)'", text)}
    places = {name: _place_of_step(name, document) for name in names}
    steps = sorted(names, key=lambda name: (_line_and_column(places[name]), name))
    return Fault(
        place=next((places[name] for name in steps if places[name]), None),
        text=f"these steps wait for each other in a cycle: {', '.join(steps)}",
    )


def _place_of_step(name: str, document: str) -> str | None:
    return place_in(document.partition("#")[0], rf"^\s*(?:-\s*)?(?:id:\s*)?[\"']?({re.escape(name)})[\"']?\s*(?::|$)")


def _line_and_column(place: str | None) -> tuple[int, ...]:
    return (0, 0) if place is None else tuple(int(number) for number in place.rsplit(":", 2)[1:])


def _unknown_field(found: re.Match[str]) -> str:
    name, expected = found.group(1), re.findall(r"'([^']*)'", found.group(2))
    near = get_close_matches(name, expected, n=1)
    advice = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(expected)}"
    return f"unknown field {name!r}; {advice}"


def _undefined(found: re.Match[str]) -> str:
    field, target = found.groups()
    if field == "run" and urllib.parse.urlsplit(target).scheme in ("http", "https"):
        return f"run: {target}: {_NOT_FETCHED}"
    if field == "run":
        return f"run: {short_path(urllib.parse.unquote(target.removeprefix('file://')))}: no such file"
    return f"{field}: {target.rpartition('/')[2]!r} is unknown"


def _no_such_source(found: re.Match[str]) -> str:
    field, target = found.groups()
    return f"{field}: there is no {urllib.parse.unquote(target.rpartition('#')[2])!r}"


_REWORDINGS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str] | str], ...] = (
    (re.compile(r"invalid field '(.*?)', expected one of: (.*)", re.DOTALL), _unknown_field),
    (re.compile(r"Field '(.*?)' contains undefined reference to '(.*)'"), _undefined),
    (re.compile(r"Field '(.*?)' references unknown identifier '(.*?)', tried .*", re.DOTALL), _no_such_source),
    (re.compile(r"the value ('.*?') is not a valid enum_[0-9a-f]+, expected (.*)"), r"\1 is none of: \2"),
    (re.compile(r"Missing '(\w+)' field"), r"missing required field '\1'"),
    (re.compile(r"\"(\w+)\" section is not valid\.?"), r"\1: missing, or neither a list nor a mapping"),
    (re.compile(r"(Workflow contains .*) but (\w+Requirement) not in requirements"), r"\1, but \2 is not required"),
    (re.compile(r"(.*) \(expected ''\)(.*)"), r"\1\2"),
)


def _reworded_value(message: str) -> str:
    for pattern in _OF_ANOTHER_TYPE:
        found = pattern.fullmatch(message)
        if found is not None:
            return f"expected {found[1]}"
    return _reworded(message)


def _reworded(message: str) -> str:
    for pattern, replacement in _REWORDINGS:
        found = pattern.fullmatch(message)
        if found is not None:
            return found.expand(replacement) if isinstance(replacement, str) else replacement(found)
    return _URL.sub("", document_message(message)).replace("CommentedMap", "mapping").replace("CommentedSeq", "list")
