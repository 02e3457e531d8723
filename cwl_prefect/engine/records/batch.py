"""Many runs of one workflow: where their inputs come from, and which of them are done."""

import contextlib
import csv
import glob
import hashlib
import io
import itertools
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from pydantic import JsonValue, TypeAdapter

from cwl_prefect._lib.uris import path_of
from cwl_prefect.engine.outputs.placement import path_here
from cwl_prefect.engine.records.lines import read_lines
from cwl_prefect.errors import InputError, PublishError, UsageError
from cwl_prefect.model.values import CwlObject, file_objects

RECORD = "cwl-prefect-batch.jsonl"
"""Name of the record, in the directory for results."""

NAME_COLUMN = "name"
_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_TABLES = (*_DELIMITERS, ".jsonl")
_TEXT = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a table."""

    table: Path
    number: int  # from 1
    cells: Mapping[str, JsonValue]  # texts, or any JSON from a JSONL file

    @property
    def place(self) -> str:
        """Where it stands, for messages."""
        return _place(self.table, self.number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A row, or a whole table, that cannot be read."""

    place: str
    problem: str

    def refuse(self) -> NoReturn:
        """Raise what is wrong with it.

        Raises:
            InputError: Always.
        """
        raise InputError(self.problem)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What is recorded of one run of a batch."""

    key: str
    name: str
    status: str
    run_id: str | None = None
    url: str | None = None
    outputs: dict[str, JsonValue] = field(default_factory=dict)


def sources(given: Sequence[str]) -> list[Path]:
    """Return the files of a batch in order; patterns that the shell did not expand are expanded.

    Raises:
        UsageError: A file does not exist, or a pattern fits none; all of them are named.
    """
    found: list[Path] = []
    missing: list[str] = []
    for text in given:
        path = Path(text)
        matching = [path] if path.is_file() else [Path(each) for each in sorted(glob.glob(text, recursive=True))]  # noqa: PTH207
        found.extend(matching)
        missing += [] if matching else [text]
    if missing:
        raise UsageError(
            f"--batch: there is no file {', '.join(missing)}.", hint="give job orders, or a CSV, TSV or JSONL table."
        )
    return found


def is_table(path: Path) -> bool:
    """Check whether a file is a table rather than a job order."""
    return path.suffix.lower() in _TABLES


def rows(path: Path) -> Iterator[Row | Unreadable]:
    """Read the rows of a table, whose columns are inputs; empty cells are left out.

    A row that cannot be read keeps no other from being read.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")  # with its line breaks, as cells may have some
    except (OSError, UnicodeDecodeError) as error:
        yield Unreadable(place=str(path), problem=f"it cannot be read: {error}")
        return
    yield from _json_rows(path, text) if path.suffix.lower() == ".jsonl" else _text_rows(path, text)


def _json_rows(path: Path, text: str) -> Iterator[Row | Unreadable]:
    lines = [line for line in io.StringIO(text, newline="") if line.strip()]
    for number, line in enumerate(lines, 1):
        try:
            found = json.loads(line)
        except ValueError as error:
            yield Unreadable(place=_place(path, number), problem=f"no JSON: {error}")
            continue
        if isinstance(found, dict):
            yield Row(table=path, number=number, cells=found)
        else:
            yield Unreadable(place=_place(path, number), problem="not an object; each line is an object of inputs.")


def _text_rows(path: Path, text: str) -> Iterator[Row | Unreadable]:
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=_DELIMITERS[path.suffix.lower()], strict=True)
    try:
        names = list(reader.fieldnames or ())
    except csv.Error as error:
        yield Unreadable(place=str(path), problem=f"its heading cannot be read: {error}")
        return
    if len(set(names)) < len(names) or not all(names):
        problem = "two columns have one name, or one has none; name each column after an input."
        yield Unreadable(place=str(path), problem=problem)
        return
    for number in itertools.count(1):
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Unreadable(place=_place(path, number), problem=str(error))
            continue
        if None in cells:
            yield Unreadable(place=_place(path, number), problem="it has more cells than there are columns.")
        else:
            yield Row(table=path, number=number, cells={name: cell for name, cell in cells.items() if cell})


def _place(path: Path, number: int) -> str:
    return f"{path}, row {number}"


def unique_names(wanted: Sequence[str], keys: Sequence[str]) -> list[str]:
    """Return each run a name for its directory; of several that want the same, each has something of its key."""
    plain = [_TEXT.sub("_", name).strip("._") or "run" for name in wanted]
    return [
        name if plain.count(name) == 1 and name != RECORD else f"{name}-{key[:8]}"
        for name, key in zip(plain, keys, strict=True)
    ]


def unique_keys(keys: Sequence[str]) -> list[str]:
    """Distinguish runs with the same inputs apart by their order."""
    seen: Counter[str] = Counter()
    found = []
    for key in keys:
        seen[key] += 1
        found.append(key if seen[key] == 1 else hashlib.sha256(f"{key} {seen[key]}".encode()).hexdigest())
    return found


def tree_state(directory: Path) -> str:
    """Distinguish a directory from what it was before: by names, sizes and times of change of all that is below it."""
    summary = hashlib.sha256()
    seen: set[tuple[int, int]] = set()
    for place, below, files in os.walk(directory, followlinks=True):
        below.sort()
        identity = _identity(Path(place))
        if identity is None or identity in seen:  # removed meanwhile, or above itself by a link
            below.clear()
            continue
        seen.add(identity)
        entries = [[name, _state_of(Path(place, name))] for name in sorted(files)]
        summary.update(json.dumps([os.path.relpath(place, directory), entries]).encode())
    return summary.hexdigest()


def run_key(
    digest: str,
    job_order: CwlObject,
    prepared: CwlObject,
    state_of_tree: Callable[[Path], str] = tree_state,
) -> str:
    """Distinguish a run from others by its workflow and inputs; files count by place, size and time of change.

    Args:
        digest: The workflow's.
        job_order: Inputs as they are given.
        prepared: The same, with secondaryFiles.
        state_of_tree: Tells a directory from what it was before.
    """
    files = [_state(str(found.get("location") or "")) for found in file_objects(job_order)]
    found = [digest, job_order, files, *_more(job_order, prepared, state_of_tree)]
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def _more(job_order: CwlObject, prepared: CwlObject, state_of_tree: Callable[[Path], str]) -> list[JsonValue]:
    """Return the states of secondaryFiles that are not named, and of what is in directories; mostly there is none."""
    named = {path_here(found) for found in file_objects(job_order)}
    found: list[JsonValue] = []
    for each in file_objects({name: prepared.get(name) for name in job_order}):
        path = path_here(each)
        if path is None:
            continue
        if each["class"] == "Directory":
            found.append([str(path), state_of_tree(path)])
        elif path not in named:
            found.append([str(path), _state_of(path)])
    return found


def _state(location: str) -> list[JsonValue] | None:
    path = path_of(location)
    return None if path is None else _state_of(path)


def _state_of(path: Path) -> list[JsonValue] | None:
    with contextlib.suppress(OSError, ValueError):
        status = path.stat()
        return [status.st_size, status.st_mtime_ns]
    return None


def _identity(path: Path) -> tuple[int, int] | None:
    with contextlib.suppress(OSError):
        status = path.stat()
        return status.st_dev, status.st_ino
    return None


def _is_there(outputs: CwlObject) -> bool:
    """Check whether the results of a run exist, as far as they are on a disk."""
    locations = (str(found.get("location") or "") for found in file_objects(outputs))
    return all(_state(location) is not None for location in locations if location.startswith("file:"))


class Record:
    """Which runs of a batch have ended, and how: an append-only file."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / RECORD

    def completed(self) -> dict[str, Done]:
        """Return the runs that are complete and whose results are there, by key; a line cut short is left out.

        Raises:
            PublishError: The directory for results is none, or cannot be read.
        """
        found: dict[str, Done] = {}
        with self._checked("read"), contextlib.suppress(FileNotFoundError):
            found = {done.key: done for done in read_lines(self._path, TypeAdapter(Done))}
        return {key: done for key, done in found.items() if done.status == "completed" and _is_there(done.outputs)}

    def add(self, done: Done) -> None:
        """Record a run that ended.

        Raises:
            PublishError: The record cannot be written.
        """
        with self._checked("written"):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as stream:
                stream.write(TypeAdapter(Done).dump_json(done) + b"\n")

    @contextlib.contextmanager
    def _checked(self, verb: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise PublishError(
                f"the record of the batch, {self._path}, cannot be {verb}: {error.strerror}.",
                hint="choose a directory that you can write to by --outdir.",
            ) from error
