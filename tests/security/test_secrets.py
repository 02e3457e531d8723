"""A secret input (``cwltool:Secrets``) is in nothing that Prefect shows, and in nothing that a run prints or gives."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.commandline.driving import CommandLine

pytestmark = pytest.mark.server

SECRET = "Sesame 41c7 open"
TOOL = """
cwlVersion: v1.2
class: CommandLineTool
$namespaces: {cwltool: "http://commonwl.org/cwltool#"}
hints: {"cwltool:Secrets": {secrets: [password]}}
baseCommand: [sh, -c, 'echo "used $1" >&2; exit $0']
inputs:
  code: {type: int, inputBinding: {position: 1}}
  password: {type: string, inputBinding: {position: 2}}
outputs: {done: stdout}
"""
WORKFLOW = """
cwlVersion: v1.2
class: Workflow
requirements: {SubworkflowFeatureRequirement: {}}
inputs: {password: string, code: int}
outputs: {done: {type: File, outputSource: within/done}}
steps:
  within:
    run:
      class: Workflow
      inputs: {password: string, code: int}
      outputs: {done: {type: File, outputSource: use/done}}
      steps:
        use: {run: tool.cwl, in: {password: password, code: code}, out: [done]}
    in: {password: password, code: code}
    out: [done]
"""


def told_to_prefect(home: Path) -> Iterator[str]:
    """Yield all that the database of the local server holds, as texts."""
    database = home / "server" / "prefect" / "prefect.db"
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        for (table,) in connection.execute("select name from sqlite_master where type = 'table'").fetchall():
            yield from (repr(row) for row in connection.execute(f'select * from "{table}"'))


def holding(*directories: Path) -> set[str]:
    """Return the names of files that hold the secret, but for what lies in workspaces."""
    files = (path for directory in directories for path in directory.rglob("*") if path.is_file())
    return {path.name for path in files if SECRET.encode() in path.read_bytes() and "call" not in path.parts}


@pytest.mark.parametrize(("code", "exit_code"), [(0, 0), (3, 13)], ids=["succeeds", "fails"])
def test_a_secret_is_nowhere(command: CommandLine, code: int, exit_code: int) -> None:
    command.write("tool.cwl", TOOL)
    command.write("workflow.cwl", WORKFLOW)
    order = command.write("order.json", json.dumps({"password": SECRET, "code": code}))
    options = ("--backend", "local", "--verbose", "--report", "report.html", "--trace", "trace.tsv")
    for _ in range(2):  # the second time it could come from the cache
        ended = command.run(*options, "workflow.cwl", order)
        assert ended.code == exit_code, ended.stderr
        assert SECRET not in ended.stdout + ended.stderr
    order.unlink()
    assert holding(command.directory) == set()
    assert holding(command.home) <= {"run.json"}  # for the user alone: what a run that failed needs to be resumed
    assert [text for text in told_to_prefect(command.home) if SECRET in text] == []
