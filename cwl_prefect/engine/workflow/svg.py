"""Drawings of a plan as SVG: by Graphviz where its ``dot`` is on the machine, else laid out here, in rows."""

import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from xml.sax.saxutils import escape

from cwl_prefect.engine.workflow.graph import FILLS, Drawing, Edge, Node, NodeKind, dot, draw, shortened
from cwl_prefect.model.plan import WorkflowPlan

_GRAPHVIZ_TIMEOUT_S = 60
_INK, _FONT = "#5b6770", "Helvetica,Arial,sans-serif"
_LETTER, _LINE, _PADDING, _GAP, _ROW_GAP = 6.5, 15.0, 10.0, 20.0, 40.0  # in pixels, as a letter is wide on average
_TIP = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    f'<path d="M0 0L8 4L0 8z" fill="{_INK}"/></marker></defs>'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Box:
    """A node, or the frame around a subworkflow, and where it is."""

    id: str
    lines: tuple[str, ...]
    width: float
    height: float
    x: float = 0.0
    y: float = 0.0
    kind: NodeKind | None = None  # None: a frame
    inside: tuple["_Box", ...] = ()

    def moved(self, x: float, y: float) -> "_Box":
        """Return the box with all that is in it at another place."""
        inside = tuple(box.moved(box.x + x - self.x, box.y + y - self.y) for box in self.inside)
        return replace(self, x=x, y=y, inside=inside)

    def all(self) -> "Iterator[_Box]":
        """Return the box and all boxes in it."""
        yield self
        for box in self.inside:
            yield from box.all()


def svg(plan: WorkflowPlan) -> str:
    """Draw a plan as SVG."""
    return _by_graphviz(plan) or rendered(draw(plan))


def _by_graphviz(plan: WorkflowPlan) -> str | None:
    program = shutil.which("dot")
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, "-Tsvg"], input=dot(plan).encode(), capture_output=True, timeout=_GRAPHVIZ_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode()


def rendered(drawing: Drawing) -> str:
    """Lay out a drawing in rows, and return it as SVG."""
    whole = _frame(drawing, drawing.edges)
    boxes = {box.id: box for box in whole.all()}
    shapes = [shape for box in whole.all() for shape in _shapes(box)]
    arrows = [_arrow(boxes[edge.source], boxes[edge.target], edge) for edge in drawing.edges]
    size = f'width="{whole.width:.0f}" height="{whole.height:.0f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="{_FONT}" font-size="11">'
    return "\n".join([head, _TIP, *shapes, *arrows, "</svg>"])


def _frame(drawing: Drawing, edges: Iterable[Edge]) -> _Box:
    """Lay out a workflow: what comes later lies further down, beside what can run at the same time."""
    children = [*map(_node, drawing.nodes), *(_frame(inner, edges) for inner in drawing.inner)]
    lines = tuple(shortened(drawing.lines))
    rows = _rows(children, edges)
    width = max([_width(lines), *(sum(box.width + _GAP for box in row) - _GAP for row in rows)])
    y = 2 * _PADDING + _LINE * len(lines)
    placed: list[_Box] = []
    for row in rows:
        x = _PADDING + (width - sum(box.width + _GAP for box in row) + _GAP) / 2
        for box in row:
            placed.append(box.moved(x, y))
            x += box.width + _GAP
        y += max(box.height for box in row) + _ROW_GAP
    height = y - (_ROW_GAP if rows else 0) + _PADDING
    return _Box(id=drawing.id, lines=lines, width=width + 2 * _PADDING, height=height, inside=tuple(placed))


def _node(node: Node) -> _Box:
    lines = tuple(shortened(node.lines))
    width, height = _width(lines) + 2 * _PADDING, _LINE * len(lines) + _PADDING
    return _Box(id=node.id, kind=node.kind, lines=lines, width=width, height=height)


def _rows(children: list[_Box], edges: Iterable[Edge]) -> list[list[_Box]]:
    """Put each child one row below the lowest that it takes from; outputs come last."""
    within = {box.id: child.id for child in children for box in child.all()}
    links = {
        (within[edge.source], within[edge.target])
        for edge in edges
        if not edge.loop and edge.source in within and edge.target in within
    }
    ranks = _ranks([child.id for child in children], {link for link in links if link[0] != link[1]})
    last = max(ranks.values(), default=0)
    rows: dict[int, list[_Box]] = {}
    for child in children:
        rows.setdefault(last if child.kind is NodeKind.OUTPUT else ranks[child.id], []).append(child)
    return [rows[rank] for rank in sorted(rows)]


def _ranks(names: list[str], links: set[tuple[str, str]]) -> Mapping[str, int]:
    ranks = dict.fromkeys(names, 0)
    for _ in names:  # as often as the longest chain has links, at most
        lower = {target: ranks[source] + 1 for source, target in sorted(links) if ranks[source] >= ranks[target]}
        if not lower:
            break
        ranks |= lower
    return ranks


def _width(lines: tuple[str, ...]) -> float:
    return _LETTER * max(map(len, lines), default=0)


def _shapes(box: _Box) -> Iterator[str]:
    fill = "none" if box.kind is None else FILLS[box.kind]
    round_px = 12 if box.kind in (NodeKind.INPUT, NodeKind.OUTPUT) else 6 if box.kind is NodeKind.EXPRESSION_TOOL else 2
    dashes = ' stroke-dasharray="4 3"' if box.kind in (None, NodeKind.OPERATION) else ""
    yield (
        f'<rect x="{box.x:.0f}" y="{box.y:.0f}" width="{box.width:.0f}" height="{box.height:.0f}" rx="{round_px}" '
        f'fill="{fill}" stroke="{_INK}"{dashes}/>'
    )
    anchor, x = ("start", box.x + _PADDING) if box.kind is None else ("middle", box.x + box.width / 2)
    for number, line in enumerate(box.lines, 1):
        yield f'<text x="{x:.0f}" y="{box.y + _LINE * number + 2:.0f}" text-anchor="{anchor}">{escape(line)}</text>'


def _arrow(source: _Box, target: _Box, edge: Edge) -> str:
    x1, y1 = source.x + source.width / 2, source.y + source.height
    x2, y2 = target.x + target.width / 2, target.y
    bend = max(_ROW_GAP / 2, abs(y2 - y1) / 2)
    dashes = ' stroke-dasharray="4 3"' if edge.loop else ""
    return (
        f'<path d="M{x1:.0f} {y1:.0f}C{x1:.0f} {y1 + bend:.0f} {x2:.0f} {y2 - bend:.0f} {x2:.0f} {y2:.0f}" fill="none" '
        f'stroke="{_INK}" marker-end="url(#tip)"{dashes}/>'
    )
