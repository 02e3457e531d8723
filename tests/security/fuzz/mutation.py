"""Odd versions of sound documents and values: the same seed makes the same one everywhere."""

import copy
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

ODD: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2**31,
    2**63,
    10**400,
    1e308,
    float("inf"),
    float("nan"),
    "",
    " ",
    "\0",
    "\x1b[2J",
    "\ud800",
    "\udcff",
    "😀",
    "a" * 5000,
    "..",
    "/",
    "#",
    "#main",
    "_:x",
    "file:///",
    "http://[",
    "file://other/x",
    "/dev/zero",
    "$(",
    "${",
    "$(inputs)",
    "$(inputs.x.y.z)",
    "${return {};}",
    "*",
    "[",
    "class",
    "null",
    "int[]?",
    "File[][]",
    [],
    {},
    [[]],
    [None],
    {"": ""},
    {"class": "File"},
    {"class": "Directory", "listing": [None]},
    {"class": "File", "location": 5},
    {"class": "File", "contents": None, "basename": "a/b"},
    {"class": "File", "path": "/dev/zero"},
    {"$import": "main.cwl"},
    {"$include": "/dev/zero"},
    {"$mixin": "main.cwl"},
    {"type": "array"},
    {"type": "record", "fields": None},
    {"type": "enum", "symbols": [1]},
)
_FIELD_NAMES = """
arguments baseCommand class coresMin cwlVersion default doc dockerPull entry entryname expression fields
format glob hints id in inputBinding inputs items label linkMerge listing loadContents loadListing location
out outputBinding outputEval outputSource outputs path pattern pickValue position prefix ramMin required
requirements run scatter scatterMethod secondaryFiles shellQuote source stdin stdout steps streamable symbols
type valueFrom when writable $graph $import $include $namespaces $schemas $mixin
"""
FIELDS = _FIELD_NAMES.split()

Place = tuple[Any, Any]  # a mapping or list, and the key or index in it


@dataclass(frozen=True, slots=True)
class Mutation:
    """Changes a copy of a value in a few places."""

    random: Random

    def of(self, value: Any) -> Any:
        """Return a changed copy."""
        holder = [copy.deepcopy(value)]
        for _ in range(self.random.choice((1, 1, 1, 2, 3, 5))):
            places = list(_places(holder))
            self.random.choice(_CHANGES)(self.random, places)
        return holder[0]


def text_of(value: Any, random: Random) -> bytes:
    """Return a value as a file, now and then a damaged one."""
    content = json.dumps(value, ensure_ascii=random.random() < 0.9).encode("utf-8", "surrogatepass")
    if random.random() < 0.1 and content:
        at = random.randrange(len(content))
        content = content[:at] + bytes([random.randrange(256)]) * random.choice((0, 1, 3)) + content[at + 1 :]
    return content


def _places(value: Any) -> Iterator[Place]:
    if isinstance(value, Mapping | list):
        for key in list(value) if isinstance(value, Mapping) else range(len(value)):
            yield value, key
            yield from _places(value[key])


def _replace(random: Random, places: Sequence[Place]) -> None:
    node, key = random.choice(places)
    node[key] = copy.deepcopy(random.choice(ODD))


def _remove(random: Random, places: Sequence[Place]) -> None:
    node, key = random.choice(places[1:] or places)
    if node is not places[0][0]:
        del node[key]


def _rename(random: Random, places: Sequence[Place]) -> None:
    node, key = random.choice(places)
    if isinstance(node, dict):
        node[random.choice(FIELDS)] = node.pop(key)


def _swap(random: Random, places: Sequence[Place]) -> None:
    (one, first), (other, second) = random.choice(places), random.choice(places)
    one[first], other[second] = copy.deepcopy(other[second]), copy.deepcopy(one[first])


def _wrap(random: Random, places: Sequence[Place]) -> None:
    node, key = random.choice(places)
    value = node[key]
    for _ in range(random.choice((1, 2, 90, 101, 150))):
        value = [value] if random.random() < 0.5 else {random.choice(FIELDS): value}
    node[key] = value


def _add(random: Random, places: Sequence[Place]) -> None:
    node, _ = random.choice(places)
    if isinstance(node, dict):
        node[random.choice(FIELDS)] = copy.deepcopy(random.choice(ODD))
    elif node is not places[0][0]:
        node.append(copy.deepcopy(random.choice(ODD)))


_CHANGES: tuple[Callable[[Random, Sequence[Place]], None], ...] = (
    _replace, _replace, _replace, _remove, _rename, _swap, _wrap, _add, _add,
)  # fmt: skip
