"""Many runs of one workflow: where their inputs come from, and which of them are done."""

import contextlib
import csv
import glob
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
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
        return f"{self.table}, row {self.number}"


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
        UsageError: A file does not exist, or a pattern fits none.
    """
    found: list[Path] = []
    for text in given:
        path = Path(text)
        matching = [path] if path.is_file() else [Path(each) for each in sorted(glob.glob(text, recursive=True))]  # noqa: PTH207
        if not matching:
            raise UsageError(
                f"--batch: there is no file {text}.", hint="give job orders, or a CSV, TSV or JSONL table."
            )
        found.extend(matching)
    return found


def is_table(path: Path) -> bool:
    """Tell whether a file is a table rather than a job order."""
    return path.suffix.lower() in _TABLES


def rows(path: Path) -> Iterator[Row]:
    """Read the rows of a table, whose columns are inputs; empty cells are left out.

    Raises:
        InputError: It cannot be read, or a row does not fit its heading.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    yield from _json_rows(path, text) if path.suffix.lower() == ".jsonl" else _text_rows(path, text)


def _json_rows(path: Path, text: str) -> Iterator[Row]:
    lines = [line for line in text.splitlines() if line.strip()]
    for number, line in enumerate(lines, 1):
        try:
            found = json.loads(line)
        except ValueError as error:
            raise InputError(f"{path}, row {number}: no JSON: {error}") from error
        if not isinstance(found, dict):
            raise InputError(f"{path}, row {number}: not an object.", hint="each line is an object of inputs.")
        yield Row(table=path, number=number, cells=found)


def _text_rows(path: Path, text: str) -> Iterator[Row]:
    reader = csv.DictReader(text.splitlines(), delimiter=_DELIMITERS[path.suffix.lower()], strict=True)
    names = list(reader.fieldnames or ())
    if len(set(names)) < len(names) or not all(names):
        raise InputError(
            f"{path}: two columns have one name, or one has none.", hint="name each column after an input."
        )
    try:
        for number, cells in enumerate(reader, 1):
            if None in cells:
                raise InputError(f"{path}, row {number}: it has more cells than there are columns.")
            yield Row(table=path, number=number, cells={name: cell for name, cell in cells.items() if cell})
    except csv.Error as error:
        raise InputError(f"{path}: {error}") from error


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
