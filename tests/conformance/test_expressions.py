"""A thousand evaluations of the expressions of the conformance suite and of these tests, against a plain engine."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import _quickjs
import pytest
import yaml

from cwl_prefect.cwl.javascript import engine
from cwl_prefect.cwl.javascript.engine import JavascriptError, QuickJSEngine
from cwl_prefect.cwl.javascript.expressions import Scope, Script
from cwl_prefect.cwl.javascript.reads import Recorder
from cwl_prefect.cwl.javascript.scanner import Expression, may_hold_expression, scan
from cwl_prefect.model.values import unusable

SUITE = os.environ.get("CWL_CONFORMANCE_SUITE")
TESTS = Path(__file__).parents[1]

_INPUT = re.compile(r"\binputs\.(\w+)")
_IN_PYTHON = re.compile(r"\$[({][^\n]*")
_CHANCE = re.compile(r"\b(random|Date|performance)\b")
# Those that are about limits have tests of their own.
_OF_LIMITS = re.compile(r"\bwhile\b|\bfor *\(;|repeat|push\(|\\ud[89a-f]|\bimport\b|__proto__")
_LIBRARY = "function twice(n) { return 2 * n; }"
_SECONDS, _MIB = 20, 32
TURNS = 4  # with how many values each is evaluated


def _file(name: str) -> dict[str, Any]:
    about = {"path": f"/stage/0/{name}", "dirname": "/stage/0", "nameroot": name.partition(".")[0], "nameext": ".txt"}
    return {
        "class": "File",
        "location": f"file:///data/{name}",
        "basename": name,
        "size": 3,
        "contents": "1\n2",
        **about,
    }


VALUES: list[Any] = [
    _file("a.txt"),
    [_file("a.txt"), {**_file("b.txt"), "secondaryFiles": [_file("b.idx")]}],
    3,
    "some text",
    ["x", "y"],
    {"a": 1, "f": _file("c.txt")},
    None,
    {"class": "Directory", "location": "file:///data/d", "basename": "d", "listing": [_file("d.txt")]},
]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


def _documents() -> Iterator[str]:
    for path in sorted(Path(str(SUITE)).rglob("*.cwl")):
        try:
            yield from _texts(yaml.load(path.read_text(), yaml.CSafeLoader))
        except yaml.YAMLError:  # some are wrong on purpose
            continue
    for path in sorted(TESTS.rglob("*.py")):
        yield from _IN_PYTHON.findall(path.read_text())


def _sources() -> list[str]:
    found: dict[str, None] = {}
    for text in filter(may_hold_expression, _documents()):
        try:
            parts = scan(text)
        except JavascriptError:  # without an end, also on purpose
            continue
        found |= {part.source: None for part in parts if isinstance(part, Expression)}
    return [source for source in found if not _OF_LIMITS.search(source)]


def _plainly(source: str, variables: dict[str, Any]) -> Any:
    """Return what the engine gives where nothing is recorded, or its refusal."""
    context = _quickjs.Context()
    context.set_time_limit(_SECONDS)
    context.set_memory_limit(_MIB << 20)
    given = "".join(f"var {name} = {json.dumps(value)};" for name, value in variables.items())
    body = source if source.startswith("{") else f"{{return ({source});}}"
    try:
        context.eval(f'"use strict";{_LIBRARY}{given}')
        text = context.eval(f'"use strict";JSON.stringify((function(){body})())')
    except (_quickjs.JSException, _quickjs.StackOverflow):
        return JavascriptError
    value = None if text is None else json.loads(text)
    return JavascriptError if text is None or unusable(value) is not None else value


def _recorded(source: str, variables: dict[str, Any]) -> Any:
    scope = Scope(
        inputs=variables["inputs"],
        runtime=variables["runtime"],
        script=Script(library=(_LIBRARY,)),
        recorder=Recorder(directories=("/stage", "/out")),
    )
    try:
        return scope.evaluate(f"${source}", variables["self"])
    except JavascriptError:
        return JavascriptError


@pytest.mark.skipif(SUITE is None, reason="CWL_CONFORMANCE_SUITE does not say where the conformance suite is")
def test_expressions_give_what_a_plain_engine_gives_within_their_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []

    class Noted(subprocess.Popen[bytes]):
        def __init__(self, command: list[str], *arguments: Any, **options: Any) -> None:
            started.append(Path(command[0]).name)
            super().__init__(command, *arguments, **options)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    monkeypatch.setattr(engine, "_installed", QuickJSEngine(timeout_s=_SECONDS, memory_mib=_MIB))
    evaluated = usable = 0
    for source in _sources():
        names = dict.fromkeys(_INPUT.findall(source))
        for turn, own in enumerate(VALUES[:TURNS]):
            values = cycle(VALUES[turn:] + VALUES[:turn])
            inputs = dict(zip(names, values, strict=False))
            variables = {"inputs": inputs, "self": own, "runtime": {"outdir": "/out", "tmpdir": "/tmp", "cores": 1}}
            found = _recorded(source, variables)
            if not _CHANCE.search(source):
                expected = _plainly(source, variables)
                assert found == expected, f"{source} with {variables}"
                usable += found is not JavascriptError
            evaluated += 1
    engine.installed().close()
    assert evaluated >= 1000
    assert usable >= 500
    assert not any("node" in name for name in started)
