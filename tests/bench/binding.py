"""What it costs to bind calls, against cwltool binding the same in the same process."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cwl_prefect.cwl.binding.bind import Binder, Place
from cwl_prefect.cwl.loading.compile import compile_process
from cwl_prefect.cwl.loading.load import load_process
from cwl_prefect.model.plan import ToolPlan
from tests.conformance.cwltool_binding import bound_job, live_tool

CALLS = 1000
ITEMS = 20_000
KINDS = {"File": 5, "string": 5, "int": 4, "boolean": 2, "string[]": 2, "double": 2}


@dataclass(frozen=True, kw_only=True)
class Times:
    """Seconds for all calls, one for each repetition."""

    ours: tuple[float, ...]
    cwltool: tuple[float, ...]
    items: tuple[float, ...]  # of one call with an array of many items


def measure(directory: Path, *, repeat: int) -> Times:
    """Bind the calls of a tool with 20 inputs by ours and by cwltool in turn, and one call with a long array."""
    directory.mkdir(parents=True, exist_ok=True)
    inputs = [(f"{kind.replace('[]', 's')}{number}", kind) for kind, count in KINDS.items() for number in range(count)]
    tool = _tool(directory / "tool.cwl", inputs)
    calls = [{name: _value(directory, kind, number) for name, kind in inputs} for number in range(CALLS)]
    long = _tool(directory / "long.cwl", [("items", "string[]")])
    values: list[Any] = [{"items": ["item"] * ITEMS}]
    times = [
        (_by_ours(tool, calls, directory), _by_cwltool(tool, calls, directory), _by_ours(long, values, directory))
        for _ in range(repeat)
    ]
    ours, cwltool, items = zip(*times, strict=True)
    return Times(ours=ours, cwltool=cwltool, items=items)


def _by_ours(tool: ToolPlan, calls: list[Any], directory: Path) -> float:
    out, tmp, stage = (directory / name for name in ("out", "tmp", "stage"))
    place = Place(outdir=out, tmpdir=tmp, stagedir=stage, containers=False, search_path="/usr/bin")
    binder = Binder()
    return _seconds(lambda: [binder.bind(tool, call, place, name="tool") for call in calls])


def _by_cwltool(tool: ToolPlan, calls: list[Any], directory: Path) -> float:
    live = live_tool(tool)
    return _seconds(lambda: [bound_job(live, call, directory) for call in calls])


def _seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return round(time.process_time() - began, 3)


def _tool(path: Path, inputs: list[tuple[str, str]]) -> ToolPlan:
    declared = "\n".join(
        f"  {name}: {{type: '{kind}', inputBinding: {{prefix: --{name}, position: {number}}}}}"
        for number, (name, kind) in enumerate(inputs)
    )
    head = "cwlVersion: v1.2\nclass: CommandLineTool\nbaseCommand: tool\noutputs: {}\n"
    path.write_text(f"{head}inputs:\n{declared}\n")
    found = compile_process(load_process(str(path)), origin="bench").steps[0].run
    assert isinstance(found, ToolPlan)
    return found


def _value(directory: Path, kind: str, number: int) -> Any:
    if kind == "File":
        path = directory / f"{number}.txt"
        path.touch()
        return {"class": "File", "location": path.as_uri(), "basename": path.name}
    values: dict[str, Any] = {"string": f"t {number}", "int": number, "boolean": number % 2 == 0, "double": number / 7}
    return values.get(kind, [f"a{number}", f"b{number}", f"c{number}"])
