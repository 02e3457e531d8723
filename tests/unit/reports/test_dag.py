from dataclasses import asdict
from pathlib import Path
from xml.etree import ElementTree

import pytest

from cwl_prefect.engine.workflow.graph import draw
from cwl_prefect.errors import InputError, UsageError
from cwl_prefect.reports.dag import check_dag, dag
from cwl_prefect.reports.record import read_record
from tests.unit.flows.driving import drive, graph, subworkflow
from tests.unit.reports.traces import ENDED, STARTED, tried, write

NESTED = graph(
    """
    inputs: {x: string}
    outputs: {}
    steps:
      first: {run: '#say', in: {x: x}, out: [o]}
      prepare: {run: '#inner', in: {x: first/o}, out: []}
    """,
    subworkflow("inner", "inputs: {x: string}\noutputs: {}\nsteps: {deep: {run: '#say', in: {x: x}, out: [o]}}"),
)


@pytest.fixture
def record(tmp_path):
    drawing = asdict(draw(drive(tmp_path, NESTED).plan))
    calls = (tried("first"), tried("prepare.deep", "failed", message="no"))
    return read_record(write(tmp_path, {**STARTED, "drawing": drawing}, *calls, ENDED))


def texts(record):
    svg = ElementTree.fromstring(dag(record, Path("x.svg")))
    return [element.text for element in svg.iter("{http://www.w3.org/2000/svg}text")]


def test_svg_says_what_became_of_the_calls_of_each_step_and_subworkflow(record):
    told = texts(record)
    assert told[told.index("first") + 1] == "1 succeeded"
    assert told.count("1 failed") == 2  # the subworkflow, and the step in it


def test_dot_has_the_states_too(record):
    text = dag(record, Path("x.dot"))
    assert text.startswith("digraph {")
    assert (text.count("1 succeeded"), text.count("1 failed")) == (1, 2)


def test_html_folds_subworkflows_and_runs_nothing(record):
    text = dag(record, Path("x.html"))
    assert "<details open><summary>prepare: 1 failed</summary>" in text
    assert "<script" not in text
    assert "default-src 'none'" in text


@pytest.mark.parametrize("name", ["dag", "dag.png"])
def test_a_file_must_say_how_the_graph_is_written(name):
    with pytest.raises(UsageError, match=r"end its name in \.svg"):
        check_dag(Path(name))


def test_a_trace_without_a_graph_is_an_error(tmp_path):
    record = read_record(write(tmp_path, {**STARTED, "drawing": None}, ENDED))
    with pytest.raises(InputError, match="no graph"):
        dag(record, Path("x.svg"))
