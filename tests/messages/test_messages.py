"""Mistakes that people make, and what they are told of them.

Each document has beside it what we say (``NAME.txt``) and what cwltool says (``NAME.cwltool.txt``), to be read
together. After a change of a message, ``MESSAGES=write`` writes ours anew, for somebody to read.
"""

import os
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cwl_prefect.cli.app import app
from tests.commandline.driving import CommandLine

HERE = Path(__file__).parent
DOCUMENTS = sorted((HERE / "documents").glob("*.cwl"))
JOB_ORDERS = sorted((HERE / "job-orders").glob("*.cwl"))
RUNS = sorted((HERE / "runs").glob("*.cwl"))
PYTHON = re.compile(r"Traceback|Commented|(?<!')\b(?:dict|str|NoneType|None)\b(?!')|<class|file:///work|internal error")
STRICT = ("command-with-arguments-in-one-text", "hint-misspelt", "hint-unknown", "step-nobody-reads")
OPTIONS = {
    **dict.fromkeys((*STRICT, "step-input-nobody-reads"), "--strict"),
    "image-missing": "--require-containers",
}


def compare(told: str, kept: Path) -> None:
    """Compare what is told with what a person has read."""
    if os.environ.get("MESSAGES") == "write":
        kept.write_text(told)
    assert told == kept.read_text()
    assert PYTHON.search(told) is None


def assert_refused(document: Path, *more: str) -> None:
    """Demand that ``validate`` refuses a document, or its job order, in the words that are kept."""
    result = CliRunner().invoke(app, ["validate", *more])
    assert result.exit_code in {10, 11, 33}
    assert result.stdout == ""
    compare(f"{result.stderr}exit code {result.exit_code}\n", document.with_suffix(".txt"))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_a_wrong_document_is_refused(document: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(document.parent)
    monkeypatch.setenv("CWL_PREFECT_HOME", str(tmp_path))
    assert_refused(document, *filter(None, [OPTIONS.get(document.stem)]), document.name)


@pytest.mark.parametrize("document", JOB_ORDERS, ids=lambda path: path.stem)
def test_a_wrong_job_order_is_refused(document: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(document.parent)
    monkeypatch.setenv("CWL_PREFECT_HOME", str(tmp_path))
    assert_refused(document, document.name, f"{document.stem}.yml")


@pytest.mark.server
@pytest.mark.standby
@pytest.mark.parametrize("document", RUNS, ids=lambda path: path.stem)
def test_a_run_that_cannot_end_well_says_why(document: Path, command: CommandLine) -> None:
    for file in (document, document.with_suffix(".yml"), document.parent / "data.txt"):
        (command.directory / file.name).write_text(file.read_text())
    ended = command.run("--quiet", "--no-container", "--no-cache", document.name, f"{document.stem}.yml")
    told = re.sub(r"/\S*/runs/[\w-]+/", "RUN/", ended.stderr.replace(f"{command.directory}/", ""))
    assert ended.code in {11, 13, 14, 15}
    compare(f"{told}exit code {ended.code}\n", document.with_suffix(".txt"))


@pytest.mark.parametrize("document", [*DOCUMENTS, *JOB_ORDERS, *RUNS], ids=lambda path: path.stem)
def test_what_cwltool_says_lies_beside(document: Path) -> None:
    assert document.with_suffix(".cwltool.txt").read_text()
