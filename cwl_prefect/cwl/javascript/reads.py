"""Record what the expressions of a call read that may differ between calls of one key: places, times, chance.

It is recorded while they are evaluated (``docs/reference/cache-key.md``, §What expressions read).
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cwl_prefect._lib.uris import spellings
from cwl_prefect.cwl.javascript import engine
from cwl_prefect.cwl.javascript.engine import JavascriptError, JavascriptRead
from cwl_prefect.cwl.javascript.references import Path
from cwl_prefect.model.cache import RESOURCES, Read, Recorded
from cwl_prefect.model.values import file_objects, is_file_object, is_nothing_but_files

ALL = "*"
PASSED = "passed"
_OF_CONTENT = ("checksum", "contents", "format", "listing", "size")
_OF_PLACE = ("location", "path", "dirname")
_STAGED = frozenset({"path", "dirname", "outdir", "tmpdir"})
_LONGER, _DEEPER = 1009, 31  # primes: of any other number, length and depth leave another remainder
_SHOWN = 60  # characters of an expression


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """One expression, what it saw, and what it gave.

    Attributes:
        source: The expression, without the dollar sign.
        own: What it saw as ``self``.
        value: Its value.
        alone: Whether that is the value of the whole field, so that a File stays a File.
    """

    source: str
    own: Any
    value: Any
    alone: bool


@dataclass(slots=True, kw_only=True)
class Recorder:
    """Keeps what the expressions of one call read.

    Attributes:
        directories: Directories of this call whose paths are others in each run.
        collecting: Whether ``self`` is what the call gave, rather than one of its inputs.
        reads: What of the inputs was read, with the expression that did.
        obstacle: Why the call gives something else each time, or None.
    """

    directories: tuple[str, ...] = ()
    collecting: bool = False
    reads: dict[tuple[str | None, str], Read] = field(default_factory=dict)
    obstacle: str | None = None

    def collects(self, outdir: str) -> None:
        """Go on with the outputs of the call, which lie in a directory of this run."""
        self.directories, self.collecting = (*self.directories, outdir), True

    def recorded(self) -> Recorded:
        """Return what was read so far."""
        return Recorded(reads=tuple(self.reads.values()), obstacle=self.obstacle, directories=self.directories)

    def note(self, evaluation: Evaluation, reads: Iterable[JavascriptRead], port_of: "Owners") -> bool:
        """Note what an expression read.

        Returns:
            Whether it saw a path that is another in each run.
        """
        moves = False
        for root, port, name in _written_out(evaluation, reads, collecting=self.collecting):
            if root == "chance":
                self.refuse(evaluation.source, f"calls {name}, so that it may give something else each time")
            elif root == "runtime":
                if name not in _STAGED and name != "exitCode":
                    self._add(None, RESOURCES, evaluation.source)
            elif root == "inputs":
                self._add(port, name, evaluation.source)
            elif not self.collecting:
                self._add(port_of(evaluation.own), name, evaluation.source)
            moves |= name in _STAGED or name == ALL or (self.collecting and root == "self" and name == "location")
        return moves

    def refuse(self, source: str, reason: str) -> None:
        """Note that the result of an expression does not come from what the call is given alone."""
        shown = source if len(source) <= _SHOWN else f"{source[:_SHOWN]}…"
        self.obstacle = self.obstacle or f"the expression ${shown} {reason}"

    def moved(self, text: str, elsewhere: "Elsewhere") -> str:
        """Return a JSON text with other paths for the directories of this run."""
        for number, directory in enumerate(sorted(set(self.directories), key=len, reverse=True)):
            for written in spellings(directory):
                text = text.replace(json.dumps(written)[1:-1], elsewhere(directory, number))
        return text

    def check_moved(self, source: str, library: str, value: Any) -> None:
        """Evaluate an expression with other paths: it may hand a path on, and nothing else may come of it."""
        for elsewhere in (shorter, longer) if self.directories else ():
            try:
                found = json.dumps(engine.installed().eval(source, self.moved(library, elsewhere)))
            except JavascriptError:
                found = None
            if found != self.moved(json.dumps(value), elsewhere):
                self.refuse(source, "makes something of a path that is another in each run")
                return

    def _add(self, port: str | None, name: str, source: str) -> None:
        if name not in _STAGED:
            self.reads.setdefault((port, name), Read(port=port, field=name, expression=f"${source}"[:_SHOWN]))


Elsewhere = Callable[[str, int], str]
"""From a directory of a run, and its number among them, to one where nothing is."""


def shorter(_directory: str, number: int) -> str:
    """Return a path as short as can be, before all others in the order of texts."""
    return f"/!{number}"


def longer(directory: str, number: int) -> str:
    """Return a path that is longer and deeper than any of a run, and behind all others in the order of texts."""
    depth = directory.count("/") + _DEEPER
    return "/~" * depth + "~" * (len(directory) + _LONGER - 2 * depth - 1) + str(number)


class Owners:
    """Says of which input a value is a part, by identity."""

    def __init__(self, inputs: Mapping[str, Any]) -> None:
        self._inputs = inputs
        self._known: dict[int, tuple[str, Any]] | None = None  # values are kept, so that their identities stay theirs

    def __call__(self, value: Any) -> str | None:
        """Return the input; None where it is not known."""
        if self._known is None:
            self._known = {id(part): (port, part) for port, each in self._inputs.items() for part in _parts(each)}
        found = self._known.get(id(value))
        return None if found is None else found[0]


def followed(path: Path, variables: Mapping[str, Any]) -> Iterator[JavascriptRead]:
    """Yield what a parameter reference reads."""
    root = str(path[0])
    if root == "runtime":
        names = (str(path[1]),) if len(path) > 1 else tuple(map(str, variables[root]))
        yield from (JavascriptRead(root, "", name) for name in names)
        return
    port = str(path[1]) if root == "inputs" and len(path) > 1 else ""
    value = variables.get(root)
    for key in path[1:]:
        if is_file_object(value) and key in (*_OF_CONTENT, *_OF_PLACE):
            yield JavascriptRead(root, port, str(key))
        value = len(value) if isinstance(value, list) and key == "length" else value[key]  # type: ignore[index]
    if path == ("inputs",):
        ports = (name for name, each in variables[root].items() if next(file_objects(each), None) is not None)
        yield from (JavascriptRead(root, name, PASSED) for name in ports)
    elif next(file_objects(value), None) is not None:
        yield JavascriptRead(root, port, PASSED)


def _written_out(
    evaluation: Evaluation, reads: Iterable[JavascriptRead], *, collecting: bool
) -> Iterator[JavascriptRead]:
    """Yield reads with what it means to give a File or Directory on as it is.

    A command line and a working directory take the file, which is its content; an output takes all that is known of it.
    In a text, or within a record that becomes one, all its fields are written.
    """
    stays_file = evaluation.alone and (collecting or is_nothing_but_files(evaluation.value))
    fields = (_OF_CONTENT if collecting else ()) if stays_file else (ALL, *_OF_CONTENT, *_OF_PLACE)
    for read in reads:
        if read.field != PASSED:
            yield read
        else:
            yield from (read._replace(field=name) for name in fields)


def _parts(value: Any) -> Iterator[Any]:
    yield value
    inner: Sequence[Any] = (
        list(value.values()) if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    )
    for each in inner:
        if isinstance(each, Mapping | list):
            yield from _parts(each)
