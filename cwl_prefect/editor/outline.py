"""A document as it is being written: its entries and where they stand, also while its text is no CWL yet."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import yaml

from cwl_prefect.cwl.loading.suggestions import CLASSES

LARGEST_TEXT = 1024 * 1024  # characters; a document of this size is written by programs
_DEEPEST = 50  # entries within each other
_NAMES = ("id", "class", "name")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry of a mapping or list.

    Attributes:
        name: Its key; in a list its id or class, or else its number.
        head: What stands for its name in the text: the key, or the item of the list.
        value: Its value; the item of a list.
    """

    name: str
    head: yaml.Node
    value: yaml.Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A position in a document: the entries around it, from the outermost, and whether it is on the key of the last."""

    path: tuple[Entry, ...]
    on_key: bool

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the entries."""
        return tuple(entry.name for entry in self.path)


@lru_cache(maxsize=64)
def parsed(text: str) -> yaml.Node | None:
    """Return the text's nodes, all scalars as they are written; None where it is no YAML or too large."""
    if len(text) > LARGEST_TEXT:
        return None
    try:
        node = yaml.compose(text, Loader=yaml.CBaseLoader if yaml.__with_libyaml__ else yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError, ValueError):
        return None
    return node if isinstance(node, yaml.Node) else None


def entries(node: yaml.Node | None) -> Iterator[Entry]:
    """Yield the entries of a mapping or list; nothing else has any."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                yield Entry(name=str(key.value), head=key, value=value)
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            named = (text(value_of(item, field)) for field in _NAMES)
            yield Entry(name=next(filter(None, named), str(number)).lstrip("#"), head=item, value=item)


def entry_of(node: yaml.Node | None, name: str) -> Entry | None:
    """Return the entry of a name."""
    return next((entry for entry in entries(node) if entry.name == name), None)


def value_of(node: yaml.Node | None, name: str) -> yaml.Node | None:
    """Return the value of a field of a mapping."""
    found = entry_of(node, name) if isinstance(node, yaml.MappingNode) else None
    return None if found is None else found.value


def text(node: yaml.Node | None) -> str | None:
    """Return the text of a scalar."""
    return str(node.value) if isinstance(node, yaml.ScalarNode) else None


def process_class(node: yaml.Node | None) -> str | None:
    """Return the class of a process; None for all else."""
    found = text(value_of(node, "class"))
    return found if found in CLASSES else None


def spot_at(root: yaml.Node | None, line: int, column: int) -> Spot:
    """Return the entries that a position is in; lines and columns count from 0."""
    path: list[Entry] = []
    node = root
    while node is not None and len(path) < _DEEPEST:
        within = [entry for entry in entries(node) if _start(entry.head) <= (line, column)]
        if not within:
            break
        entry = within[-1]
        path.append(entry)
        if entry.head is not entry.value and (line, column) <= _end(entry.head):
            return Spot(path=tuple(path), on_key=True)
        is_below = _start(entry.value) >= _start(entry.head)  # what an alias stands for is elsewhere
        node = entry.value if is_below and _start(entry.value) <= (line, column) else None
    return Spot(path=tuple(path), on_key=False)


def spot_of(root: yaml.Node | None, mark: str) -> Spot | None:
    """Return where a scalar of this text stands."""
    if root is None:
        return None
    waiting: list[tuple[yaml.Node, tuple[Entry, ...]]] = [(root, ())]
    seen: set[int] = set()
    while waiting:
        node, path = waiting.pop()
        if id(node) in seen or len(path) > _DEEPEST:
            continue
        seen.add(id(node))
        for entry in entries(node):
            inner = (*path, entry)
            if text(entry.value) == mark:
                return Spot(path=inner, on_key=False)
            if text(entry.head) == mark:
                return Spot(path=inner, on_key=True)
            waiting.append((entry.value, inner))
    return None


def processes(root: yaml.Node | None) -> list[yaml.Node]:
    """Return the processes of a document by themselves: its own, or those of its graph."""
    if process_class(root) is not None and root is not None:
        return [root]
    return [entry.value for entry in entries(value_of(root, "$graph")) if process_class(entry.value) is not None]


def _start(node: yaml.Node) -> tuple[int, int]:
    return (node.start_mark.line, node.start_mark.column)


def _end(node: yaml.Node) -> tuple[int, int]:
    return (node.end_mark.line, node.end_mark.column)
