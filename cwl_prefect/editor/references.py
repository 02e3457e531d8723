"""What a position of a document refers to: a port, a step, or what a step runs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from cwl_prefect.editor.documents import Process, process_named, ran_by
from cwl_prefect.editor.outline import Entry, Spot, process_class, text

_INPUT = re.compile(r"\binputs\.(\w+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is referred to.

    Attributes:
        path: The document that it is in.
        node: Where it stands there.
        name: Its name; None for a process.
        value: Its value: the declaration of a port, a step, or a process.
        kind: What it is, as ``input``.
    """

    path: Path
    node: yaml.Node
    name: str | None
    value: yaml.Node
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A position within a process: the process, its document, and the entries from there on."""

    process: Process
    spot: Spot

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the entries."""
        return self.spot.names


def place_in_process(root: yaml.Node | None, spot: Spot, path: Path) -> Place | None:
    """Return a position within the innermost process around it; None outside of any."""
    nodes = [root, *(entry.value for entry in spot.path)]
    found = [number for number, node in enumerate(nodes) if process_class(node) is not None]
    node = nodes[found[-1]] if found else None
    if node is None:
        return None
    process = Process(path=path, node=node)
    return Place(process=process, spot=Spot(path=spot.path[found[-1] :], on_key=spot.on_key))


def step_of(place: Place) -> Entry | None:
    """Return the step that a position is in."""
    names = place.names
    return place.spot.path[1] if len(names) > 1 and names[0] == "steps" else None


def sources(process: Process) -> dict[str, str]:
    """Return what a link of a workflow may read, each with what it is: its inputs, and the outputs that steps list."""
    found = dict.fromkeys(process.ports("inputs"), "input")
    for name, step in process.ports("steps").items():
        listed = Process(path=process.path, node=step.value).ports("out")
        found |= {f"{name}/{text(entry.value) or port}": "output of a step" for port, entry in listed.items()}
    return found


def target_at(place: Place, word: str, texts: Mapping[Path, str]) -> Target | None:
    """Return what a position refers to.

    Args:
        place: The position.
        word: What is written there, as far as names and dots reach.
        texts: The texts that are open.
    """
    read = _INPUT.search(word)
    if read is not None:
        return _input_read(place, read[1])
    step = step_of(place)
    if step is not None:
        return _of_step(place, step, texts)
    match place.names:
        case ("outputs", _, "outputSource", *_):
            return _source(place, texts)
        case ("inputs" | "outputs" as field, name, *rest) if place.spot.on_key and not rest:
            return _port(place.process, field, name)
        case _:
            return None


def _of_step(place: Place, step: Entry, texts: Mapping[Path, str]) -> Target | None:
    ran = ran_by(step.value, place.process.path, texts)
    match place.names[2:]:
        case []:
            return None if ran is None or not place.spot.on_key else _process(ran)
        case ["run"]:
            named = text(place.spot.path[-1].value)
            found = ran if named is None else process_named(named, place.process.path, texts)
            return None if found is None else _process(found)
        case ["in", port] if place.spot.on_key:
            return None if ran is None else _port(ran, "inputs", port)
        case ["in", _] | ["in", _, "source", *_]:
            return _source(place, texts)
        case ["out" | "scatter" as field, *_]:
            given = Process(path=place.process.path, node=step.value)
            process, ports = (ran, "outputs") if field == "out" else (given, "in")
            return None if process is None else _port(process, ports, text(place.spot.path[-1].value) or "")
        case _:
            return None


def _source(place: Place, texts: Mapping[Path, str]) -> Target | None:
    """Return what a link reads: an input, or what the step that gives it runs has as this output."""
    name = (text(place.spot.path[-1].value) or "").lstrip("#")
    step, slash, output = name.partition("/")
    if not slash:
        return _port(place.process, "inputs", name)
    entry = place.process.ports("steps").get(step)
    if entry is None:
        return None
    ran = ran_by(entry.value, place.process.path, texts)
    found = None if ran is None else _port(ran, "outputs", output)
    return found or Target(path=place.process.path, node=entry.head, name=step, value=entry.value, kind="step")


def _input_read(place: Place, name: str) -> Target | None:
    """Return the input that an expression reads: that of its step, or of its process."""
    step = step_of(place)
    if step is not None and place.names[2:3] in (("in",), ("when",)):
        return _port(Process(path=place.process.path, node=step.value), "in", name)
    return _port(place.process, "inputs", name)


def _port(process: Process, field: str, name: str) -> Target | None:
    entry = process.ports(field).get(name)
    if entry is None:
        return None
    kind = {"inputs": "input", "outputs": "output", "in": "input of the step"}[field]
    return Target(path=process.path, node=entry.head, name=name, value=entry.value, kind=kind)


def _process(process: Process) -> Target:
    return Target(path=process.path, node=process.node, name=None, value=process.node, kind="process")
