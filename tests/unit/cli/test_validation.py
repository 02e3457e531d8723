"""What ``validate`` tells, in each of its formats."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cwl_prefect.cli.app import app

GOOD = "{cwlVersion: v1.2, class: CommandLineTool, baseCommand: echo, inputs: {n: int?}, outputs: {}}"
WRONG = """cwlVersion: v1.2
class: CommandLineTool
baseComand: echo
inputs:
  n: {type: string, inputBinding: {prefx: -n}}
outputs: []
"""
DOUBTFUL = """cwlVersion: v1.2
class: Workflow
inputs: {a: int}
outputs: []
steps:
  one:
    run: tool.cwl
    in:
      n: {source: a, valueFrom: $(self)}
    out: []
"""


@pytest.fixture
def directory(tmp_path, monkeypatch):
    monkeypatch.setenv("CWL_PREFECT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    for name, text in (("tool.cwl", GOOD), ("wrong.cwl", WRONG), ("doubtful.cwl", DOUBTFUL)):
        Path(name).write_text(text)


def validate(*arguments: str):
    return CliRunner().invoke(app, ["validate", *arguments])


def test_errors_are_told_with_their_places(directory):
    result = validate("wrong.cwl")
    assert result.exit_code == 10
    assert result.stdout == ""
    errors = result.stderr.splitlines()
    assert errors[0].startswith("Error: wrong.cwl:3:1: unknown field 'baseComand'; did you mean 'baseCommand'?")
    assert errors[1].startswith("Error: wrong.cwl:5:36: ")


def test_a_warning_does_not_make_a_document_wrong(directory):
    result = validate("doubtful.cwl")
    assert result.exit_code == 0
    assert result.stderr.startswith("Warning: doubtful.cwl:9:22: n has a valueFrom, but the workflow does not require")
    assert result.stdout == "doubtful.cwl is valid CWL v1.2.\n"


def test_strictly_a_warning_is_an_error(directory):
    assert validate("--strict", "doubtful.cwl").exit_code == 10
    assert validate("--strict", "tool.cwl").exit_code == 0


def test_json_has_an_entry_for_each_finding(directory):
    result = validate("--format", "json", "wrong.cwl")
    first, second = json.loads(result.stdout)
    assert result.exit_code == 10
    assert (first["document"], first["line"], first["column"], first["severity"]) == ("wrong.cwl", 3, 1, "error")
    assert (first["check"], second["line"]) == ("invalid-document", 5)


def test_json_of_nothing_found_is_an_empty_list(directory):
    result = validate("--format", "json", "tool.cwl")
    assert (result.exit_code, json.loads(result.stdout)) == (0, [])


def test_sarif_names_rules_and_places(directory):
    result = validate("--format", "sarif", "doubtful.cwl")
    log = json.loads(result.stdout)
    (run,) = log["runs"]
    (found,) = run["results"]
    assert log["version"] == "2.1.0"
    assert run["tool"]["driver"]["rules"] == [{"id": "undeclared-feature"}]
    assert (found["ruleId"], found["level"]) == ("undeclared-feature", "warning")
    place = found["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "doubtful.cwl"}, "region": {"startLine": 9, "startColumn": 22}}


@pytest.mark.parametrize(
    ("job_order", "code", "check"),
    [
        pytest.param("n: three", 11, "job-order", id="wrong-value"),
        pytest.param("m: 3", 0, "unknown-input", id="unknown-input"),
        pytest.param("cwl:requirements: [{class: NoSuch}]", 33, "unsupported-feature", id="unknown-requirement"),
    ],
)
def test_a_job_order_is_checked_too(directory, job_order, code, check):
    Path("inputs.yml").write_text(job_order)
    result = validate("--format", "json", "tool.cwl", "inputs.yml")
    assert (result.exit_code, [found["check"] for found in json.loads(result.stdout)]) == (code, [check])


def test_a_tool_without_an_image_is_an_error_where_containers_are_required(directory):
    result = validate("--require-containers", "tool.cwl")
    assert result.exit_code == 10
    assert result.stderr.startswith("Error: tool.cwl:1:20: the tool names no image")
    assert validate("--require-containers", "--default-image", "debian:stable-slim", "tool.cwl").exit_code == 0
