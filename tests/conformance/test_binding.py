"""What is bound here is what cwltool binds, but for the differences listed, each with what the specification says.

- An input of type Any that is a list has its prefix once, before all items (CommandLineTool, §Input binding: array).
- ``valueFrom`` that gives booleans writes ``true`` and ``false``; an empty list adds nothing, its prefix neither
  (§Input binding: array, "If the array is empty it does not add anything to command line").
- Of several record types the one whose fields are given is bound (§CommandInputRecordSchema).
- ``separate: false`` without a prefix is no error (§CommandLineBinding: separate).
- A number is never written in scientific notation, wherever it comes from (§Input binding: number).
- Numbers of sorting keys come before names, also where a name begins with a digit (§Input binding, step 4).
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cwl_prefect.cwl.binding.bind import Binder, Place
from cwl_prefect.cwl.binding.inputs import parse_job_order, resolve_files
from cwl_prefect.cwl.javascript import engine
from cwl_prefect.cwl.loading.compile import compile_process
from cwl_prefect.cwl.loading.load import load_process
from cwl_prefect.model.plan import InputPort, ProcessClass, ToolPlan
from tests.conformance.cwltool_binding import bound_by_cwltool, comparable

SUITE = os.environ.get("CWL_CONFORMANCE_SUITE")

CORPUS = """
inputs:
  f: {type: File, inputBinding: {position: 2, prefix: --file=, separate: false}, secondaryFiles: [.idx?]}
  fs: {type: 'File[]', inputBinding: {prefix: -f}}
  r:
    type:
      type: record
      fields:
        a: {type: 'int[]', inputBinding: {prefix: -a, itemSeparator: ','}}
        b: {type: string, inputBinding: {position: -1, valueFrom: "<$(self)>"}}
        c: {type: [File, 'null'], inputBinding: {prefix: -c}}
    inputBinding: {position: 1}
  nested: {type: {type: array, items: {type: array, items: string, inputBinding: {prefix: -n}}}, inputBinding: {}}
  deep:
    type:
      type: array
      items: {type: record, fields: {k: {type: string, inputBinding: {prefix: -k, position: 2}},
        l: {type: int, inputBinding: {prefix: -l, position: 1}}}}
    inputBinding: {position: 3}
  e: {type: {type: enum, symbols: [x, y], inputBinding: {prefix: -e}}}
  on: {type: boolean, inputBinding: {prefix: --on, position: 4}}
  off: {type: boolean, inputBinding: {prefix: --off}}
  d: {type: double, inputBinding: {position: $(inputs.n)}}
  n: int
arguments: [first, {position: 9, valueFrom: $(runtime.cores)}, {prefix: -p, valueFrom: $(inputs.f.nameroot)}]
baseCommand: [tool, sub]
stdin: $(inputs.f.path)
stdout: $(inputs.f.basename).out
"""
VALUES = {
    "r": {"a": [1, 2], "b": "text", "c": None},
    "nested": [["a", "b"], ["c"]],
    "deep": [{"k": "a", "l": 1}, {"k": "b", "l": 2}],
    "e": "y",
    "on": True,
    "off": False,
    "d": 0.25,
    "n": 5,
}


@pytest.fixture(autouse=True)
def _engine() -> None:
    engine.install(timeout_s=5, memory_mib=64)


def bound_here(tool: ToolPlan, values: dict[str, Any], place: Path) -> dict[str, Any]:
    where = Place(
        outdir=place / "out", tmpdir=place / "tmp", stagedir=place / "stage", containers=False, search_path="/bin"
    )
    call = Binder().bind(tool, values, where, name="x").call
    env = {name: value for name, value in call.env.items() if name != "PATH"}
    return comparable(command=list(call.command), env=env, streams=[call.stdin, call.stdout, call.stderr])


@pytest.mark.parametrize("version", ["v1.0", "v1.1", "v1.2"])
@pytest.mark.parametrize("shell", [False, True], ids=["plain", "shell"])
def test_a_tool_with_all_bindings_is_bound_alike(tmp_path: Path, version: str, shell: bool) -> None:
    (tmp_path / "a.txt").write_text("x")
    file = {"class": "File", "location": (tmp_path / "a.txt").as_uri()}
    old = version == "v1.0"
    more = "requirements: {ShellCommandRequirement: {}}\n" if shell else ""
    text = CORPUS.replace("position: $(inputs.n)", "position: 5").replace("[.idx?]", "[]") if old else CORPUS
    document = tmp_path / "tool.cwl"
    document.write_text(f"cwlVersion: {version}\nclass: CommandLineTool\n{more}{text}outputs: {{}}\n")
    plan = compile_process(load_process(str(document)), origin=str(document)).steps[0].run
    assert isinstance(plan, ToolPlan)
    values = {**VALUES, "f": file, "fs": [file, {**file, "basename": "b"}]}
    assert bound_here(plan, values, tmp_path)["command"]
    assert bound_here(plan, {**values, "fs": [file]}, tmp_path) == bound_by_cwltool(
        plan, {**values, "fs": [file]}, tmp_path
    )


PREFIX = st.none() | st.sampled_from(["-x", "--long="])


@st.composite
def bindings(draw: st.DrawFn) -> dict[str, Any] | None:
    if draw(st.booleans()):
        return None
    found: dict[str, Any] = {"position": draw(st.integers(-2, 2))}
    if (prefix := draw(PREFIX)) is not None:
        found |= {"prefix": prefix, "separate": draw(st.booleans())}
    if draw(st.booleans()):
        found["itemSeparator"] = ","
    return found


@st.composite
def typed_values(draw: st.DrawFn, depth: int = 2) -> tuple[Any, Any]:  # noqa: PLR0911 - one for each kind
    kinds = ["string", "int", "boolean", "double", "enum", *(["array", "record", "optional"] if depth else [])]
    match draw(st.sampled_from(kinds)):
        case "string":
            return "string", draw(st.text("ab '$\\", min_size=1, max_size=5))
        case "int":
            return "int", draw(st.integers(-9, 9))
        case "boolean":
            return "boolean", draw(st.booleans())
        case "double":
            return "double", draw(st.sampled_from([0.5, -1.25, 100.0]))
        case "enum":
            return _bound({"type": "enum", "symbols": ["x", "y"]}, draw(bindings())), draw(st.sampled_from("xy"))
        case "array":
            items, value = draw(typed_values(depth=depth - 1))
            return _bound({"type": "array", "items": items}, draw(bindings())), [value] * draw(st.integers(0, 3))
        case "optional":
            inner, value = draw(typed_values(depth=0))
            return ["null", inner], value if draw(st.booleans()) else None
    fields = {name: (*draw(typed_values(depth=depth - 1)), draw(bindings())) for name in ("p", "q")}
    declared = [_bound({"name": name, "type": kind}, binding) for name, (kind, _, binding) in fields.items()]
    return {"type": "record", "fields": declared}, {name: value for name, (_, value, _) in fields.items()}


def _bound(declared: dict[str, Any], binding: dict[str, Any] | None) -> dict[str, Any]:
    return declared if binding is None else {**declared, "inputBinding": binding}


def _joins_booleans(kind: Any, value: Any) -> bool:
    """Check whether a value holds what the differences listed above are about, where an item separator may join it."""
    if isinstance(value, list):
        return any(isinstance(item, bool | list | dict) or item is None for item in value)
    return isinstance(value, dict) and any(_joins_booleans(kind, item) for item in value.values())


@given(st.lists(st.tuples(typed_values(), bindings()), min_size=1, max_size=4))
@settings(max_examples=150, deadline=None)
def test_generated_tools_are_bound_alike(declared: list[tuple[tuple[Any, Any], dict[str, Any] | None]]) -> None:
    names = ["a", "b", "c", "d"][: len(declared)]
    inputs: list[Any] = []
    values: dict[str, Any] = {}
    for name, ((kind, value), binding) in zip(names, declared, strict=True):
        if _joins_booleans(kind, value) and "itemSeparator" in str((kind, binding)):
            continue
        inputs.append(_bound({"id": name, "type": kind}, binding))
        values[name] = value
    plan = ToolPlan(
        digest="generated",
        name="tool",
        process_class=ProcessClass.COMMAND_LINE_TOOL,
        document={"class": "CommandLineTool", "inputs": inputs, "outputs": [], "baseCommand": ["tool"]},
        requirements=(),
        hints=(),
        cwl_version="v1.2",
        inputs=tuple(InputPort(id=entry["id"], type=entry["type"]) for entry in inputs),
        outputs=(),
    )
    place = Path("/nowhere")
    assert bound_here(plan, values, place) == bound_by_cwltool(plan, values, place)


def suite_tools() -> Iterator[Any]:
    """Yield the tools of the conformance suite with their job orders."""
    if SUITE is None:
        return
    tests: Any = []
    for index in (Path(SUITE) / "conformance_tests.yaml", *sorted(Path(SUITE).glob("tests/*/test-index.yaml"))):
        loaded = yaml.safe_load(index.read_text())
        tests.extend((index.parent, test) for test in loaded if isinstance(test, dict) and "tool" in test)
    for folder, test in tests:
        document = folder / str(test["tool"]).partition("#")[0]
        if not test.get("should_fail") and document.is_file() and "class: CommandLineTool" in document.read_text():
            job = folder / test["job"] if test.get("job") else None
            yield pytest.param(f"{folder}/{test['tool']}", job, id=str(test.get("id", test["tool"])))


@pytest.mark.parametrize(("document", "job"), list(suite_tools()))
def test_tools_of_the_conformance_suite_are_bound_alike(document: str, job: Path | None, tmp_path: Path) -> None:
    plan = compile_process(load_process(document), origin=document)
    tool = plan.steps[0].run
    if (
        len(plan.steps) != 1
        or not isinstance(tool, ToolPlan)
        or tool.process_class is not ProcessClass.COMMAND_LINE_TOOL
    ):
        pytest.skip("no single tool")
    order: Any = {} if job is None else parse_job_order(job.read_text(), source=str(job))
    values = {} if job is None else resolve_files(order, f"{job.parent.as_uri()}/", dict(plan.namespaces))
    assert isinstance(values, dict)
    try:
        expected = bound_by_cwltool(tool, values, tmp_path)
    except Exception as error:  # noqa: BLE001 - what cwltool cannot bind outside of a run is no example
        pytest.skip(f"cwltool: {error}")
    assert bound_here(tool, values, tmp_path) == expected
