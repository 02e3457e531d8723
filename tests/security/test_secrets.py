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


STAGE_IN = """
cwlVersion: v1.2
class: CommandLineTool
requirements: {EnvVarRequirement: {envDef: {KEY: $(inputs.ADES_STAGEIN_AWS_SECRET_ACCESS_KEY)}}}
baseCommand: [sh, -c, 'test -n "$KEY" && echo "used $KEY" >&2 && mkdir scene']
inputs: {input: string, ADES_STAGEIN_AWS_SECRET_ACCESS_KEY: string}
outputs: {scene: {type: Directory, outputBinding: {glob: scene}}}
"""
ASKING = """
cwlVersion: v1.2
class: CommandLineTool
baseCommand: env
stdout: seen
inputs: {scene: Directory}
outputs: {seen: stdout}
"""


def test_the_credentials_of_a_stage_are_nowhere_and_no_other_tool_has_them(command: CommandLine) -> None:
    command.write("stage-in.cwl", STAGE_IN)
    command.write("asking.cwl", ASKING)
    options = ("--backend", "local", "--verbose", "--directory-stage-in", "stage-in.cwl", "--trace", "trace.tsv")

    ended = command.run(
        *options, "asking.cwl", "--scene", "s3://a/b", environment={"ADES_STAGEIN_AWS_SECRET_ACCESS_KEY": SECRET}
    )

    assert ended.code == 0, ended.stderr
    assert "used (secret)" in ended.stderr
    assert SECRET not in ended.stdout + ended.stderr
    assert "STAGEIN" not in (command.outdir / "seen").read_text("utf-8")
    assert holding(command.directory) == holding(command.home) - {"run.json"} == set()
    assert [text for text in told_to_prefect(command.home) if SECRET in text] == []
