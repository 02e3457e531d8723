"""A long history on the local server and in a home: real runs, multiplied without the work of running each."""

import json
import os
import re
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

from cwl_prefect.engine.records.manifest import MANIFEST
from cwl_prefect.errors import StepError
from cwl_prefect.server.local_server import server_files
from cwl_prefect.settings import Settings
from tests.bench import workloads
from tests.bench.catch_up import local_api, post, seconds_to_catch_up
from tests.bench.processes import BenchError
from tests.bench.runners import Runners

NAMES = "history-"
"""How the names of the copies begin."""

_APART = timedelta(seconds=1)
_CACHE_KIB = 500_000  # new identifiers fall anywhere into the indices
_MOMENT = re.compile(r"20\d\d-\d\d-\d\d[ T]\d\d:\d\d:\d\d")

Row = tuple[object, ...]  # begins with its id
Rows = dict[str, list[Row]]  # by table
Pieces = tuple[str, ...]  # of a text: each is the same in every copy, or changes as a whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """All that a run left behind.

    Attributes:
        run_id: Its id.
        name: Its name.
        ids: Its own, and those of its rows.
        moments: When anything happened.
        rows: Its rows in the server's database, as JSON.
        files: Its directory's contents by path; None: a directory.
    """

    run_id: str
    name: str
    ids: frozenset[str]
    moments: frozenset[str]
    rows: Pieces
    files: Mapping[str, Pieces | None]

    def words(self, name: str, age: timedelta) -> dict[str, str]:
        """Give what stands in a copy that is older, for each piece that changes."""
        moments = {was: (datetime.fromisoformat(was) - age).isoformat(sep=was[10]) for was in self.moments}
        return {self.name: name, **{was: str(uuid4()) for was in self.ids}, **moments}


def fill(runners: Runners, home: Path, documents: Path, runs: int) -> None:
    """Give a home, and its server, this many runs; half of them failed, and the workspaces of all are kept.

    Raises:
        BenchError: A run did not end as it should have, or the server does not know of it.
    """
    kinds = (workloads.failing(documents), StepError.exit_code), (workloads.echo(documents), 0)
    for workload, exit_code in kinds:
        command = ["run", "--no-container", "--keep", "always", str(workload.document), str(workload.job_order)]
        runners.command(command, home=home, exit_code=exit_code)
    seconds_to_catch_up(home)
    runners.server("stop", home=home)
    multiply(home, runs)
    os.sync()  # a history that is old is on the disk
    runners.server("start", home=home)
    known = post(local_api(home), "flow_runs/count", {})
    if known != runs:
        raise BenchError(f"the server knows of {known!r} runs instead of {runs}")


def multiply(home: Path, runs: int) -> None:
    """Make the runs of a home, whose server is stopped, into this many; each is a second older than the one before.

    Whatever a run left is copied, with other ids, names and moments: its row in the server's database, those of its
    states, task runs, logs and events, and its workspaces.

    Raises:
        BenchError: There is no run in the home.
    """
    settings = Settings(home=home / ".cache" / "cwl-prefect")
    with closing(sqlite3.connect(server_files(settings).database)) as database, database:
        templates = [_template(database, manifest.parent) for manifest in settings.runs.glob(f"*/{MANIFEST}")]
        if not templates:
            raise BenchError("there is no run that could be multiplied")
        database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        columns = {table: _columns(database, table) for table in _tables(database)}
        for number in range(len(templates), runs):
            template = templates[number % len(templates)]
            words = template.words(f"{NAMES}{number}", number * _APART)
            for table, rows in json.loads(_copy(template.rows, words)).items():
                _insert(database, table, columns[table], rows)
            _write(settings.runs / words[template.run_id], template, words)


def _template(database: sqlite3.Connection, directory: Path) -> Template:
    name = json.loads((directory / MANIFEST).read_text())["name"]
    found = _mentioning(database, directory.name)
    ids = frozenset(str(row[0]) for of_table in found.values() for row in of_table)
    changing = re.compile(f"({'|'.join([*ids, re.escape(name), _MOMENT.pattern])})")
    rows = tuple(changing.split(json.dumps(found)))
    files = {
        str(path.relative_to(directory)): None if path.is_dir() else tuple(changing.split(path.read_text()))
        for path in sorted(directory.rglob("*"))
    }
    pieces = {*rows, *(piece for of_file in files.values() for piece in of_file or ())}
    moments = frozenset(filter(_MOMENT.fullmatch, pieces))
    return Template(run_id=directory.name, name=name, ids=ids, moments=moments, rows=rows, files=files)


def _mentioning(database: sqlite3.Connection, run_id: str) -> Rows:
    """Give the rows that mention a run, those that mention one of these, and so on."""
    left = [(table, row, json.dumps(row)) for table in _tables(database) for row in _all(database, table)]
    found: Rows = {}
    new = {run_id}
    while new:
        mentioned, new = re.compile("|".join(new)), set()
        for one in left[:]:
            table, row, text = one
            if mentioned.search(text):
                found.setdefault(table, []).append(row)
                new.add(str(row[0]))
                left.remove(one)
    return found


def _tables(database: sqlite3.Connection) -> list[str]:
    """Name the tables whose rows have ids."""
    tables = [table for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return [table for table in tables if '"id"' in _columns(database, table)]


def _columns(database: sqlite3.Connection, table: str) -> list[str]:
    """Name the columns of a table as SQL does, the id first."""
    names = [f'"{name}"' for (name,) in database.execute("SELECT name FROM pragma_table_info(?)", (table,))]
    return sorted(names, key=lambda name: name != '"id"')


def _all(database: sqlite3.Connection, table: str) -> list[Row]:
    return database.execute(f'SELECT {", ".join(_columns(database, table))} FROM "{table}"').fetchall()


def _insert(database: sqlite3.Connection, table: str, columns: list[str], rows: list[Row]) -> None:
    places = ", ".join("?" * len(columns))
    database.executemany(f'INSERT INTO "{table}" ({", ".join(columns)}) VALUES ({places})', rows)


def _write(directory: Path, template: Template, words: Mapping[str, str]) -> None:
    directory.mkdir()
    for path, pieces in template.files.items():
        if pieces is None:
            (directory / path).mkdir()
        else:
            (directory / path).write_text(_copy(pieces, words))


def _copy(pieces: Pieces, words: Mapping[str, str]) -> str:
    return "".join([words.get(piece, piece) for piece in pieces])
