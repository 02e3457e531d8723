"""The code keeps the rules that no linter sees to: what has a public name is explained, and nothing grows long."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.commands import PROJECT

MOST_LINES_OF_A_FUNCTION = 40
MOST_LINES_OF_A_MODULE = 400
MOST_MODULES_OF_A_ROOM = 16

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


@pytest.fixture(scope="module")
def modules() -> dict[Path, ast.Module]:
    found = sorted((PROJECT / "cwl_prefect").rglob("*.py"))
    return {path.relative_to(PROJECT): ast.parse(path.read_bytes()) for path in found}


@pytest.fixture(scope="module")
def definitions(modules) -> list[tuple[Path, Function | ast.ClassDef]]:
    found = ((path, node) for path, module in modules.items() for node in statements(module))
    return [(path, node) for path, node in found if isinstance(node, Function | ast.ClassDef)]


def statements(within: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(within):
        if isinstance(node, ast.stmt | ast.excepthandler | ast.match_case):
            yield node
            yield from statements(node)


def is_setter(node: Function | ast.ClassDef) -> bool:
    return any(isinstance(decorator, ast.Attribute) and decorator.attr == "setter" for decorator in node.decorator_list)


def length(function: Function, *, with_arguments: bool) -> int:
    """Count the lines of a function without those of its docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    inside = function.end_lineno - body[0].lineno + 1 if body else 0
    return inside + (function.body[0].lineno - function.lineno if with_arguments else 0)


def test_what_has_a_public_name_says_what_it_is_for_wherever_it_is_defined(definitions):
    silent = [
        f"{path}:{node.lineno} {node.name}"
        for path, node in definitions
        if not node.name.startswith("_") and not is_setter(node) and not ast.get_docstring(node)
    ]

    assert silent == []


def test_functions_stay_short(definitions):
    long = [
        f"{path}:{node.lineno} {node.name}"
        for path, node in definitions
        if isinstance(node, Function)
        # In these modules each argument of a function is an option of a command.
        and length(node, with_arguments=not path.name.endswith("app.py")) > MOST_LINES_OF_A_FUNCTION
    ]

    assert long == []


def test_unit_tests_have_no_bar_in_seconds_since_machines_are_busy():
    clock = re.compile(r"\btime\.(monotonic|perf_counter|process_time|thread_time)")
    tests = sorted((PROJECT / "tests/unit").rglob("test_*.py"))

    assert [path.name for path in tests if path != Path(__file__) and clock.search(path.read_text())] == []


def test_modules_stay_short(modules):
    assert [path for path in modules if len((PROJECT / path).read_text().splitlines()) >= MOST_LINES_OF_A_MODULE] == []


def test_rooms_stay_small_and_say_what_they_are_for(modules):
    rooms = Counter(path.parent for path in modules)
    crowded = [room for room, count in rooms.items() if count > MOST_MODULES_OF_A_ROOM]
    silent = [room for room in rooms if not ast.get_docstring(modules.get(room / "__init__.py", ast.Module([], [])))]

    assert (crowded, silent) == ([], [])


def test_docstrings_say_what_is_returned_or_checked(definitions):
    unusual = [
        f"{path}:{node.lineno} {node.name}"
        for path, node in definitions
        if (ast.get_docstring(node) or "").startswith(("Give ", "Tell "))
    ]

    assert unusual == []
