from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from cwl_prefect.engine.workflow.job_order_template import job_order_template
from cwl_prefect.model.plan import InputPort, WorkflowPlan
from tests.plans import workflow

FILE = {"class": "File", "path": "path/to/file"}
PAIR = {
    "type": "record",
    "name": "pair",
    "fields": [
        {"name": "left", "type": "File", "doc": "forward\nreads"},
        {"name": "kind", "type": ["null", {"type": "enum", "symbols": ["dna", "rna"]}]},
    ],
}


def plan(*inputs: InputPort, **said: str | None) -> WorkflowPlan:
    return workflow(name="align", inputs=inputs, **said)


def load(text: str):
    return YAML(typ="safe", pure=True).load(text)


@pytest.mark.parametrize(
    ("cwl_type", "example"),
    [
        pytest.param("string", "text", id="string"),
        pytest.param("int", 0, id="int"),
        pytest.param("boolean", False, id="boolean"),
        pytest.param("File", FILE, id="file"),
        pytest.param("Directory", {"class": "Directory", "path": "path/to/directory"}, id="directory"),
        pytest.param({"type": "array", "items": "File"}, [FILE], id="array"),
        pytest.param({"type": "array", "items": {"type": "array", "items": "int"}}, [[0]], id="nested-array"),
        pytest.param({"type": "enum", "symbols": ["a", "b"]}, "a", id="enum"),
        pytest.param({"type": "enum", "symbols": []}, "", id="enum-without-symbols"),
        pytest.param(PAIR, {"left": FILE, "kind": "dna"}, id="record"),
        pytest.param(["int", "string"], 0, id="union"),
    ],
)
def test_required_inputs_have_an_example(cwl_type, example):
    assert load(job_order_template(plan(InputPort(id="x", type=cwl_type)))) == {"x": example}


@pytest.mark.parametrize(
    ("port", "lines"),
    [
        pytest.param(
            InputPort(id="x", type="int", default=4), ["# int, optional, with a default", "# x: 4"], id="default"
        ),
        pytest.param(InputPort(id="x", type=["null", "string"]), ["# string?, optional", "# x: text"], id="optional"),
        pytest.param(
            InputPort(id="x", type="int", label="Depth", doc="How deep.\n\nIn reads."),
            ["# Depth", "# How deep.", "#", "# In reads.", "# int, required", "x: 0"],
            id="label-and-doc",
        ),
        pytest.param(
            InputPort(id="x", type="int", label="Depth", doc="Depth"),
            ["# Depth", "# int, required", "x: 0"],
            id="doc-that-is-the-label",
        ),
        pytest.param(
            InputPort(id="x", type="File", format=("http://edamontology.org/format_2572",)),
            ["# File, required", "# format: http://edamontology.org/format_2572", "x:", "  class: File"],
            id="format",
        ),
        pytest.param(
            InputPort(id="x", type={"type": "array", "items": PAIR}),
            [
                "# pair[], required",
                "# left: File, required; forward reads",
                "# kind: enum?, optional",
                "# kind: one of: dna, rna",
            ],
            id="fields-and-symbols",
        ),
        pytest.param(
            InputPort(id="x", type=["int", {"type": "enum", "symbols": ["all"]}]),
            ["# int | enum, required", "# one of: all"],
            id="symbols-in-a-union",
        ),
        pytest.param(
            InputPort(id="x", type=["null", "int", "string"]), ["# (int | string)?, optional"], id="optional-union"
        ),
    ],
)
def test_inputs_are_explained(port, lines):
    text = job_order_template(plan(port))
    assert "\n".join(lines) in text


def test_nothing_required_is_an_empty_job_order():
    assert load(job_order_template(plan(InputPort(id="x", type="int", default=4)))) == {}
    assert load(job_order_template(plan())) == {}


def test_the_workflow_is_named():
    assert job_order_template(plan(label="Align all", doc="Aligns.")).startswith("# Inputs of Align all\n# Aligns.\n")


@given(text=st.text(), identifier=st.text(min_size=1))
def test_no_text_of_a_document_gets_out_of_its_comment(text, identifier):
    port = InputPort(id=identifier, type="int", label=text, doc=text)
    optional = InputPort(id=f"{identifier}2", type="string", default=text)
    found = load(job_order_template(plan(port, optional, label=text, doc=text)))
    assert found == {identifier: 0}


def test_an_example_workflow_gives_the_inputs_of_its_job_order():
    examples = Path(__file__).parents[4] / "examples" / "cwl" / "words"
    from cwl_prefect.api import compile_document

    template = load(job_order_template(compile_document(examples / "words.cwl")))
    assert set(template) <= set(load((examples / "words.yml").read_text()))
