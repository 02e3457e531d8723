"""Entries and positions of texts, of which many are no CWL yet."""

import pytest

from cwl_prefect.editor.outline import LARGEST_TEXT, parsed, processes, spot_at, spot_of
from tests.unit.editor.conftest import TOOL, WORKFLOW, position


@pytest.mark.parametrize(
    ("marked", "names", "on_key"),
    [
        ("base|Command", ("baseCommand",), True),
        ("baseCommand: ec|ho", ("baseCommand",), False),
        ("    ty|pe: string", ("inputs", "message", "type"), True),
        ("arguments: [$(in|puts", ("arguments", "0"), False),
    ],
)
def test_a_position_is_within_entries(marked, names, on_key):
    spot = spot_at(parsed(TOOL), *position(TOOL, marked))
    assert (spot.names, spot.on_key) == (names, on_key)


def test_items_of_lists_are_named_by_their_id_or_class():
    root = parsed("hints: [{class: A, x: 1}]\nsteps: [{id: '#one', run: r.cwl}]")
    assert spot_at(root, 0, 19).names == ("hints", "A", "x")
    assert spot_at(root, 1, 28).names == ("steps", "one", "run")


@pytest.mark.parametrize("text", ["a: [", "\t- x", "[" * 100_000, "a: " * LARGEST_TEXT, ""], ids=range(5))
def test_what_is_no_yaml_has_no_entries(text):
    assert parsed(text) is None


def test_aliases_that_hold_themselves_come_to_an_end():
    root = parsed("class: Workflow\nsteps: &s\n  one: *s\n  two: {in: *s}\n")
    assert spot_of(root, "nowhere") is None
    assert spot_at(root, 3, 14).names == ("steps", "two", "in")


def test_processes_of_a_graph():
    graph = "cwlVersion: v1.2\n$graph: [{class: CommandLineTool, id: a}, {class: Other, id: b}]"
    assert len(processes(parsed(graph))) == 1
    assert len(processes(parsed(WORKFLOW))) == 1
    assert processes(parsed("a: 1")) == []
