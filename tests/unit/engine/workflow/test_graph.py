import re
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cwl_prefect.engine.workflow.graph import dot, draw, mermaid
from cwl_prefect.engine.workflow.svg import svg
from cwl_prefect.model.plan import (
    InputPort,
    Link,
    Loop,
    LoopOutput,
    OutputPort,
    ProcessClass,
    Scatter,
    ScatterMethod,
    StepPlan,
    WorkflowPlan,
)
from tests import plans
from tests.plans import link, tool

FILES = {"type": "array", "items": "File"}


def step(name: str, *links: Link, **said) -> StepPlan:
    return plans.step(name, *links, outputs=("out",), **said)


def workflow(*steps: StepPlan, inputs=("reads",), outputs=(), label: str | None = None) -> WorkflowPlan:
    return plans.workflow(
        *steps,
        name="main",
        label=label,
        inputs=tuple(InputPort(id=name, type=FILES) for name in inputs),
        outputs=tuple(OutputPort(id=found.port, type="File", link=found) for found in outputs),
    )


INNER = workflow(
    step("sort", link("in", "reads")),
    step("count", link("in", "sort/out"), run=tool(process_class=ProcessClass.EXPRESSION_TOOL)),
    outputs=(link("counts", "count/out"),),
)
NESTED = workflow(
    step(
        "prepare", link("reads", "reads"), run=INNER, scatter=Scatter(ports=("reads",), method=ScatterMethod.DOTPRODUCT)
    ),
    step("report", link("in", "prepare/counts", "reads"), when="$(inputs.in)"),
    outputs=(link("table", "report/out"),),
    label="Counts",
)


def names(drawing) -> list[str]:
    return [node.lines[0] for node in drawing.nodes]


def ends(drawing) -> set[tuple[str, str]]:
    nodes = {}

    def collect(part, prefix):
        nodes.update({node.id: prefix + node.lines[0] for node in part.nodes})
        for inner in part.inner:
            collect(inner, f"{prefix}{inner.lines[0]}.")

    collect(drawing, "")
    return {(nodes[edge.source], nodes[edge.target]) for edge in drawing.edges}


class TestDrawing:
    def test_steps_and_ports_are_nodes_and_subworkflows_are_inside(self):
        drawing = draw(NESTED)
        assert names(drawing) == ["reads", "report", "table"]
        assert [names(inner) for inner in drawing.inner] == [["reads", "sort", "count", "counts"]]

    def test_links_go_through_the_ports_of_subworkflows(self):
        assert ends(draw(NESTED)) == {
            ("reads", "prepare.reads"),
            ("prepare.reads", "prepare.sort"),
            ("prepare.sort", "prepare.count"),
            ("prepare.count", "prepare.counts"),
            ("prepare.counts", "report"),
            ("reads", "report"),
            ("report", "table"),
        }

    def test_several_links_between_two_nodes_are_one_edge(self):
        drawing = draw(workflow(step("a", link("x", "reads"), link("y", "reads"))))
        assert len(drawing.edges) == 1

    def test_a_link_to_a_port_that_a_subworkflow_does_not_have_is_left_out(self):
        drawing = draw(workflow(step("a", link("only_for_when", "reads"), run=INNER)))
        assert ("reads", "a.reads") not in ends(drawing)

    def test_a_loop_leads_back(self):
        loop = Loop(when="$(inputs.n < 3)", links=(link("n", "self/out", "reads"),), output=LoopOutput.LAST_ITERATION)
        drawing = draw(workflow(step("again", link("n", "reads"), loop=loop)))
        looping = [edge for edge in drawing.edges if edge.loop]
        assert len(looping) == 1
        assert looping[0].source == looping[0].target

    @pytest.mark.parametrize(
        ("more", "lines"),
        [
            pytest.param({}, ("a",), id="plain"),
            pytest.param({"when": "$(inputs.x)"}, ("a", "when: $(inputs.x)"), id="when"),
            pytest.param(
                {"scatter": Scatter(ports=("x",), method=ScatterMethod.DOTPRODUCT)}, ("a", "scatter: x"), id="scatter"
            ),
            pytest.param(
                {"scatter": Scatter(ports=("x", "y"), method=ScatterMethod.FLAT_CROSSPRODUCT)},
                ("a", "scatter: x, y (flat_crossproduct)"),
                id="scatter-method",
            ),
            pytest.param(
                {"loop": Loop(when="$(true)", links=(), output=LoopOutput.ALL_ITERATIONS)},
                ("a", "loop while: $(true)"),
                id="loop",
            ),
        ],
    )
    def test_steps_are_marked(self, more, lines):
        assert draw(workflow(step("a", **more), inputs=())).nodes[0].lines == lines


class TestMermaid:
    def test_a_nested_workflow(self):
        text = mermaid(NESTED)
        assert text.startswith("flowchart TB\n")
        assert text.count("subgraph ") == text.count("\n  end") == 1
        assert '["prepare, scatter: reads"]' in text
        assert ":::expression" in text
        assert "classDef operation" not in text

    def test_loops_are_dotted(self):
        loop = Loop(when="$(true)", links=(link("n", "self/out"),), output=LoopOutput.LAST_ITERATION)
        assert " -.-> " in mermaid(workflow(step("again", loop=loop)))

    @given(st.text(min_size=1))
    def test_no_name_gets_out_of_its_label(self, name):
        text = mermaid(workflow(step(name, when=name), inputs=(name,), label=name))
        allowed = re.compile(r'  (step|input|output|workflow)\d+.*?"(?P<label>.*)"[^"]*|[^"]*')
        for line in text.splitlines():
            found = allowed.fullmatch(line)
            assert found is not None
            assert re.fullmatch(r"([\w ,:]|<br/>|#\d+;)*", found["label"] or "")

    def test_equal_plans_give_equal_drawings(self):
        assert mermaid(NESTED) == mermaid(NESTED)


class TestDot:
    def test_a_nested_workflow(self):
        text = dot(NESTED)
        assert "subgraph cluster_workflow" in text
        assert 'label="Counts"' in text
        assert text.count(" -> ") == 7

    def test_loops_are_dashed(self):
        loop = Loop(when="$(true)", links=(link("n", "self/out"),), output=LoopOutput.LAST_ITERATION)
        assert "[style=dashed constraint=false]" in dot(workflow(step("again", loop=loop)))

    def test_labels_are_escaped_and_kept_short(self):
        text = dot(workflow(step('a"b\\n&lt;\nc' + "x" * 100), inputs=()))
        assert 'label="a\\"b\\\\n&amp;lt; c' in text
        assert "x" * 60 not in text


SVG = "{http://www.w3.org/2000/svg}"


class TestSvg:
    @pytest.fixture(autouse=True)
    def _no_graphviz(self, monkeypatch, tmp_path):
        monkeypatch.setenv("PATH", str(tmp_path))

    def test_a_nested_workflow(self):
        texts = [found.text for found in ET.fromstring(svg(NESTED)).iter(f"{SVG}text")]
        assert {"Counts", "prepare", "scatter: reads", "sort", "report", "table"} <= set(texts)

    def test_every_box_lies_in_its_frame_and_later_ones_below_earlier_ones(self):
        root = ET.fromstring(svg(NESTED))
        boxes = [
            [float(box.get(name, "")) for name in ("x", "y", "width", "height")] for box in root.iter(f"{SVG}rect")
        ]
        _, _, width, height = boxes[0]
        assert all(x >= 0 and y >= 0 and x + w <= width and y + h <= height for x, y, w, h in boxes)
        ys = {text.text: float(text.get("y", "")) for text in root.iter(f"{SVG}text")}
        assert ys["sort"] < ys["count"] < ys["counts"] < ys["report"] < ys["table"]

    def test_no_two_boxes_of_a_row_overlap(self):
        steps = [step(f"s{number}", link("in", "reads")) for number in range(5)]
        root = ET.fromstring(svg(workflow(*steps)))
        boxes = list(root.iter(f"{SVG}rect"))[2:]
        spans = sorted((float(box.get("x", "")), float(box.get("width", ""))) for box in boxes)
        assert all(x + width <= after for (x, width), (after, _) in pairwise(spans))

    def test_each_link_is_an_arrow(self):
        loop = Loop(when="$(true)", links=(link("n", "self/out"),), output=LoopOutput.LAST_ITERATION)
        again = step("again", link("in", "a/out"), loop=loop)
        root = ET.fromstring(svg(workflow(step("a", link("in", "reads")), again)))
        arrows = root.findall(f"{SVG}path")
        assert len(arrows) == 3
        assert [bool(arrow.get("stroke-dasharray")) for arrow in arrows].count(True) == 1

    def test_an_empty_workflow(self):
        assert ET.fromstring(svg(workflow(inputs=()))).tag.endswith("svg")

    @settings(max_examples=30)
    @given(st.text(min_size=1, max_size=20))
    def test_any_name_gives_a_well_formed_picture(self, name):
        root = ET.fromstring(svg(workflow(step(name), inputs=(name,), label=name)))
        assert not list(root.iter(f"{SVG}script"))

    def test_equal_plans_give_equal_pictures(self):
        assert svg(NESTED) == svg(NESTED)


class TestSvgByGraphviz:
    def program(self, directory, text):
        path = directory / "dot"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def test_what_dot_draws_is_taken(self, monkeypatch, tmp_path):
        self.program(tmp_path, 'read -r first; echo "<svg>$1 $first</svg>"; /bin/cat >/dev/null')
        monkeypatch.setenv("PATH", str(tmp_path))
        assert svg(NESTED) == "<svg>-Tsvg digraph {</svg>\n"

    @pytest.mark.parametrize("text", ["/bin/cat >/dev/null; exit 1", "kill -9 $$"], ids=["fails", "is killed"])
    def test_where_it_fails_the_picture_is_laid_out_here(self, monkeypatch, tmp_path, text):
        self.program(tmp_path, text)
        monkeypatch.setenv("PATH", str(tmp_path))
        assert "sort" in [found.text for found in ET.fromstring(svg(NESTED)).iter(f"{SVG}text")]
