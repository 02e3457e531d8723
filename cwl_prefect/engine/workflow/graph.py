"""Drawings of a plan: Mermaid for Markdown, DOT for Graphviz."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from cwl_prefect.engine.workflow.cwl_types import describe_type, parse_type
from cwl_prefect.model.plan import InputPort, Link, OutputPort, ProcessClass, StepId, StepPlan, WorkflowPlan

_LONGEST_LINE = 60


class NodeKind(StrEnum):
    """What a node of a drawing stands for."""

    INPUT = "input"
    OUTPUT = "output"
    COMMAND_LINE_TOOL = "tool"
    EXPRESSION_TOOL = "expression"
    OPERATION = "operation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A step, or an input or output of a workflow; the first line is its name."""

    id: str
    kind: NodeKind
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """A link between two nodes; ``loop`` is one from an iteration to the next."""

    source: str
    target: str
    loop: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A workflow with its nodes; its subworkflows are drawings inside it. Edges are the outermost drawing's."""

    id: str
    lines: tuple[str, ...]
    nodes: tuple[Node, ...]
    inner: tuple["Drawing", ...]
    edges: tuple[Edge, ...] = ()


def draw(plan: WorkflowPlan) -> Drawing:
    """Lay out what a drawing of a plan shows; equal plans give equal drawings."""
    draughtsman = _Draughtsman()
    drawing, _ = draughtsman.workflow(plan, (plan.label or plan.name,))
    return replace(drawing, edges=tuple(dict.fromkeys(draughtsman.edges)))


def mermaid(plan: WorkflowPlan) -> str:
    """Draw a plan as a Mermaid flowchart, which GitHub, GitLab and many others show in Markdown."""
    drawing = draw(plan)
    lines = ["flowchart TB", *_mermaid_content(drawing, "  ")]
    lines += [f"  {edge.source} {'-.->' if edge.loop else '-->'} {edge.target}" for edge in drawing.edges]
    used = {node.kind for node in _all_nodes(drawing)}
    lines += [f"  classDef {kind} {_MERMAID_STYLES[kind]}" for kind in NodeKind if kind in used]
    return "\n".join(lines) + "\n"


def dot(plan: WorkflowPlan) -> str:
    """Draw a plan in the DOT language of Graphviz."""
    return dot_of(draw(plan))


def dot_of(drawing: Drawing) -> str:
    """Write a drawing in the DOT language of Graphviz."""
    lines = [
        "digraph {",
        f"  label={_dot_text(drawing.lines)}",
        '  labelloc=t fontname="Helvetica,Arial,sans-serif" fontsize=14',
        '  node [fontname="Helvetica,Arial,sans-serif" fontsize=11 style=filled color="#5b6770"]',
        '  edge [color="#5b6770" arrowsize=0.7]',
        *_dot_content(drawing, "  "),
    ]
    for edge in drawing.edges:
        lines.append(f"  {edge.source} -> {edge.target}{' [style=dashed constraint=false]' if edge.loop else ''}")
    return "\n".join(lines) + "\n}\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ends:
    """Where links to and from a step's ports are drawn to; a step that is one node has it for every port."""

    into: Mapping[str, str] = field(default_factory=dict)
    out_of: Mapping[str, str] = field(default_factory=dict)
    node: str | None = None

    def target(self, port: str) -> str | None:
        """Return the node that a link into an input ends at; None where there is none."""
        return self.into.get(port, self.node)

    def source(self, port: str) -> str | None:
        """Return the node that a link out of an output begins at; None where there is none."""
        return self.out_of.get(port, self.node)


class _Draughtsman:
    """Numbers nodes and collects edges while walking through a plan."""

    def __init__(self) -> None:
        self.edges: list[Edge] = []
        self._count = 0

    def workflow(self, plan: WorkflowPlan, lines: tuple[str, ...]) -> tuple[Drawing, _Ends]:
        """Draw a workflow, and tell where its ports are."""
        own_id = self._next("workflow")
        inputs = [self._port(port, NodeKind.INPUT) for port in plan.inputs]
        steps: list[Node] = []
        inner: list[Drawing] = []
        ends: dict[StepId | None, _Ends] = {
            None: _Ends(out_of={port.id: node.id for port, node in zip(plan.inputs, inputs, strict=True)})
        }
        for step in plan.steps:
            if isinstance(step.run, WorkflowPlan):
                drawing, ends[step.id] = self.workflow(step.run, _step_lines(step))
                inner.append(drawing)
            else:
                steps.append(Node(id=self._next("step"), kind=_KINDS[step.run.process_class], lines=_step_lines(step)))
                ends[step.id] = _Ends(node=steps[-1].id)
        outputs = [self._port(port, NodeKind.OUTPUT) for port in plan.outputs]
        for step in plan.steps:
            self._links_of_step(step, ends)
        for port, node in zip(plan.outputs, outputs, strict=True):
            if port.link is not None:
                self._link(port.link, ends, node.id)
        return (
            Drawing(id=own_id, lines=lines, nodes=(*inputs, *steps, *outputs), inner=tuple(inner)),
            _Ends(
                into={port.id: node.id for port, node in zip(plan.inputs, inputs, strict=True)},
                out_of={port.id: node.id for port, node in zip(plan.outputs, outputs, strict=True)},
            ),
        )

    def _port(self, port: InputPort | OutputPort, kind: NodeKind) -> Node:
        return Node(id=self._next(kind), kind=kind, lines=(port.id, describe_type(parse_type(port.type))))

    def _links_of_step(self, step: StepPlan, ends: Mapping[StepId | None, _Ends]) -> None:
        own = ends[step.id]
        for link in step.links:
            self._link(link, ends, own.target(link.port))
        if step.loop is None:
            return
        for link in step.loop.links:
            sources = (own.source(source.port) for source in link.sources if source.step is not None)
            self._connect(sources, own.target(link.port), loop=True)

    def _link(self, link: Link, ends: Mapping[StepId | None, _Ends], target: str | None) -> None:
        self._connect((ends[source.step].source(source.port) for source in link.sources), target)

    def _connect(self, sources: Iterator[str | None], target: str | None, *, loop: bool = False) -> None:
        for source in sources:
            if source is not None and target is not None:
                self.edges.append(Edge(source=source, target=target, loop=loop))

    def _next(self, kind: str) -> str:
        self._count += 1
        return f"{kind}{self._count}"


_KINDS = {
    ProcessClass.COMMAND_LINE_TOOL: NodeKind.COMMAND_LINE_TOOL,
    ProcessClass.EXPRESSION_TOOL: NodeKind.EXPRESSION_TOOL,
    ProcessClass.OPERATION: NodeKind.OPERATION,
}


def _step_lines(step: StepPlan) -> tuple[str, ...]:
    lines = [str(step.id)]
    if step.scatter is not None:
        method = f" ({step.scatter.method})" if len(step.scatter.ports) > 1 else ""
        lines.append(f"scatter: {', '.join(step.scatter.ports)}{method}")
    if step.when is not None:
        lines.append(f"when: {step.when}")
    if step.loop is not None:
        lines.append(f"loop while: {step.loop.when}")
    return tuple(lines)


def _all_nodes(drawing: Drawing) -> Iterator[Node]:
    yield from drawing.nodes
    for inner in drawing.inner:
        yield from _all_nodes(inner)


def shortened(lines: Sequence[str]) -> Iterator[str]:
    """Return lines as a drawing can show them: printable, and none too long."""
    for line in lines:
        printable = " ".join("".join(letter if letter.isprintable() else " " for letter in line).split())
        yield printable if len(printable) <= _LONGEST_LINE else printable[: _LONGEST_LINE - 1] + "…"


_MERMAID_SHAPES = {
    NodeKind.INPUT: ("([", "])"),
    NodeKind.OUTPUT: ("([", "])"),
    NodeKind.COMMAND_LINE_TOOL: ("[", "]"),
    NodeKind.EXPRESSION_TOOL: ("{{", "}}"),
    NodeKind.OPERATION: ("[/", "/]"),
}
FILLS = {
    NodeKind.INPUT: "#dcecf9",
    NodeKind.OUTPUT: "#dff3e4",
    NodeKind.COMMAND_LINE_TOOL: "#fdf3d6",
    NodeKind.EXPRESSION_TOOL: "#efe4f7",
    NodeKind.OPERATION: "#eeeeee",
}
_MERMAID_STYLES = {kind: f"fill:{fill},stroke:#5b6770,color:#1c2126" for kind, fill in FILLS.items()}
_DOT_SHAPES = {
    NodeKind.INPUT: 'shape=box style="filled,rounded"',
    NodeKind.OUTPUT: 'shape=box style="filled,rounded"',
    NodeKind.COMMAND_LINE_TOOL: "shape=box",
    NodeKind.EXPRESSION_TOOL: "shape=hexagon",
    NodeKind.OPERATION: 'shape=box style="filled,dashed"',
}


def _mermaid_content(drawing: Drawing, indent: str) -> Iterator[str]:
    for node in drawing.nodes:
        opening, closing = _MERMAID_SHAPES[node.kind]
        yield f"{indent}{node.id}{opening}{_mermaid_text(node.lines)}{closing}:::{node.kind}"
    for inner in drawing.inner:
        title = ", ".join(inner.lines)  # Mermaid leaves room for one line
        yield f"{indent}subgraph {inner.id} [{_mermaid_text((title,))}]"
        yield from _mermaid_content(inner, indent + "  ")
        yield f"{indent}end"


def _mermaid_text(lines: Sequence[str]) -> str:
    return '"' + "<br/>".join("".join(map(_mermaid_letter, line)) for line in shortened(lines)) + '"'


def _mermaid_letter(letter: str) -> str:
    # Everything else has a meaning somewhere: to Mermaid, to Markdown or to HTML.
    return letter if letter.isalnum() or letter in " ,:_" else f"#{ord(letter)};"


def _dot_content(drawing: Drawing, indent: str) -> Iterator[str]:
    for node in drawing.nodes:
        fill = FILLS[node.kind]
        yield f'{indent}{node.id} [label={_dot_text(node.lines)} {_DOT_SHAPES[node.kind]} fillcolor="{fill}"]'
    for inner in drawing.inner:
        yield f"{indent}subgraph cluster_{inner.id} {{"
        yield f'{indent}  label={_dot_text(inner.lines)} labeljust=l style=rounded color="#5b6770" fontsize=12'
        yield from _dot_content(inner, indent + "  ")
        yield f"{indent}}}"


def _dot_text(lines: Sequence[str]) -> str:
    escaped = (line.replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;") for line in shortened(lines))
    return '"' + "\\n".join(escaped) + '"'
