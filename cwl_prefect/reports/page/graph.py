"""The graph of a run's workflow for its page: subworkflows fold, and each part says what became of its calls."""

import html
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from pydantic import TypeAdapter, ValidationError

from cwl_prefect.engine.workflow.graph import Drawing, Edge, Node, NodeKind
from cwl_prefect.engine.workflow.svg import rendered
from cwl_prefect.reports.record import Record, StepSummary, counted

LARGEST_GRAPH = 400
"""Most steps of one workflow that are drawn, without those of its subworkflows; more could not be read."""

_DRAWING = TypeAdapter(Drawing)
_UNWELL = frozenset({"failed", "cancelled", "running"})


def graph(record: Record) -> str:
    """Return the graph of a workflow as HTML, where it is known; each subworkflow is a part that opens and closes."""
    drawing = _drawing(record)
    return "" if drawing is None else "\n".join(_parts(drawing, drawing.edges, record.steps(), ""))


def whole_graph(record: Record) -> Drawing | None:
    """Return the drawing of a workflow with the states of calls; None where it is not known."""
    drawing = _drawing(record)
    return None if drawing is None else _stated(drawing, record.steps(), "")


def _drawing(record: Record) -> Drawing | None:
    try:
        return _DRAWING.validate_python(record.started.get("drawing"))
    except ValidationError:
        return None


def _stated(drawing: Drawing, steps: Sequence[StepSummary], prefix: str) -> Drawing:
    """Return a drawing in which each part says what became of its calls."""
    states = {step.step: Counter(step.states) for step in steps}
    inner = (
        replace(
            _stated(one, steps, f"{prefix}{one.lines[0]}."),
            lines=_with_states(one.lines, _below(steps, f"{prefix}{one.lines[0]}.")),
        )
        for one in drawing.inner
    )
    nodes = tuple(_told(node, states.get(prefix + node.lines[0], Counter())) for node in drawing.nodes)
    return replace(drawing, nodes=nodes, inner=tuple(inner))


def _parts(drawing: Drawing, edges: Sequence[Edge], steps: Sequence[StepSummary], prefix: str) -> Iterator[str]:
    """Yield a workflow as SVG, in which subworkflows are boxes without content, and then each subworkflow."""
    states = {step.step: Counter(step.states) for step in steps}
    inner = [(one, _below(steps, f"{prefix}{one.lines[0]}.")) for one in drawing.inner]
    nodes = tuple(_told(node, states.get(prefix + node.lines[0], Counter())) for node in drawing.nodes)
    boxes = tuple(Drawing(id=one.id, lines=_with_states(one.lines, found), nodes=(), inner=()) for one, found in inner)
    if len(nodes) + len(boxes) <= LARGEST_GRAPH:
        yield rendered(replace(drawing, nodes=nodes, inner=boxes, edges=_between(drawing, edges)))
    for one, found in inner:
        opened = " open" if _UNWELL & found.keys() else ""
        title = html.escape(": ".join(_with_states(one.lines[:1], found)))
        yield f"<details{opened}><summary>{title}</summary>"
        yield from _parts(one, edges, steps, f"{prefix}{one.lines[0]}.")
        yield "</details>"


def _between(drawing: Drawing, edges: Iterable[Edge]) -> tuple[Edge, ...]:
    """Return the links between the parts of a workflow; those within a subworkflow are left out."""
    within = {node.id: node.id for node in drawing.nodes}
    within |= {name: one.id for one in drawing.inner for name in _names(one)}
    links = (
        replace(edge, source=within[edge.source], target=within[edge.target])
        for edge in edges
        if edge.source in within and edge.target in within
    )
    return tuple(dict.fromkeys(link for link in links if link.source != link.target))


def _names(drawing: Drawing) -> Iterator[str]:
    yield drawing.id
    yield from (node.id for node in drawing.nodes)
    for one in drawing.inner:
        yield from _names(one)


def _below(steps: Iterable[StepSummary], prefix: str) -> Counter[str]:
    return sum((Counter(step.states) for step in steps if step.step.startswith(prefix)), Counter())


def _told(node: Node, states: Counter[str]) -> Node:
    """Return a node with the states of its calls, where it is a step that has any."""
    shown = node.kind not in (NodeKind.INPUT, NodeKind.OUTPUT)
    return replace(node, lines=_with_states(node.lines, states)) if shown else node


def _with_states(lines: tuple[str, ...], states: Counter[str]) -> tuple[str, ...]:
    return (*lines, counted(states)) if states else lines
