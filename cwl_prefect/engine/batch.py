"""Many runs of one workflow: where their inputs come from, and which of them are done."""

import contextlib
import csv
import glob
import hashlib
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote, urlsplit

from pydantic import JsonValue, TypeAdapter, ValidationError

from cwl_prefect.errors import InputError, UsageError
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
    """Give the files of a batch in order; patterns that the shell did not expand are expanded.

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
    """Tell whether a file is a table rather than a job order."""
    return path.suffix.lower() in _TABLES


def rows(path: Path) -> Iterator[Row | Unreadable]:
    """Read the rows of a table, whose columns are inputs; empty cells are left out.

    A row that cannot be read keeps no other from being read.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        yield Unreadable(place=str(path), problem=f"it cannot be read: {error}")
        return
    yield from _json_rows(path, text) if path.suffix.lower() == ".jsonl" else _text_rows(path, text)


def _json_rows(path: Path, text: str) -> Iterator[Row | Unreadable]:
    lines = [line for line in text.splitlines() if line.strip()]
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
    reader = csv.DictReader(text.splitlines(), delimiter=_DELIMITERS[path.suffix.lower()], strict=True)
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
    """Give each run a name for its directory; of several that want the same, each has something of its key."""
    plain = [_TEXT.sub("_", name).strip("._") or "run" for name in wanted]
    return [
        name if plain.count(name) == 1 and name != RECORD else f"{name}-{key[:8]}"
        for name, key in zip(plain, keys, strict=True)
    ]


def unique_keys(keys: Sequence[str]) -> list[str]:
    """Tell runs with the same inputs apart by their order."""
    seen: Counter[str] = Counter()
    found = []
    for key in keys:
        seen[key] += 1
        found.append(key if seen[key] == 1 else hashlib.sha256(f"{key} {seen[key]}".encode()).hexdigest())
    return found


def run_key(digest: str, job_order: CwlObject) -> str:
    """Tell a run from others by its workflow and inputs; files count by place, size and time of change."""
    files = [_state(str(found.get("location") or "")) for found in file_objects(job_order)]
    text = json.dumps([digest, job_order, files], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _state(location: str) -> list[int] | None:
    with contextlib.suppress(OSError, ValueError):
        address = urlsplit(location)
        if address.scheme in ("", "file"):
            status = Path(unquote(address.path)).stat()
            return [status.st_size, status.st_mtime_ns]
    return None


def _is_there(outputs: CwlObject) -> bool:
    """Tell whether the results of a run exist, as far as they are on a disk."""
    locations = (str(found.get("location") or "") for found in file_objects(outputs))
    return all(_state(location) is not None for location in locations if urlsplit(location).scheme == "file")


class Record:
    """Which runs of a batch have ended, and how: an append-only file."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / RECORD

    def completed(self) -> dict[str, Done]:
        """Give the runs that are complete and whose results are there, by key; a line cut short is left out."""
        found: dict[str, Done] = {}
        adapter = TypeAdapter(Done)
        with contextlib.suppress(FileNotFoundError):
            for line in self._path.read_text("utf-8", errors="replace").splitlines():
                with contextlib.suppress(ValidationError):
                    done = adapter.validate_json(line)
                    found[done.key] = done
        return {key: done for key, done in found.items() if done.status == "completed" and _is_there(done.outputs)}

    def add(self, done: Done) -> None:
        """Record a run that ended."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as stream:
            stream.write(TypeAdapter(Done).dump_json(done) + b"\n")
