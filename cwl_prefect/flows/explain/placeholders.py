"""What stands for values that are not known before a run: the plainest value of their type."""

import re
from collections.abc import Iterable
from pathlib import Path

from cwl_prefect.cwl.values.secondary_files import beside
from cwl_prefect.engine.workflow.cwl_types import parse_type
from cwl_prefect.engine.workflow.job_order_template import EXAMPLES, example
from cwl_prefect.model.plan import InputPort, ToolPlan
from cwl_prefect.model.values import CwlObject, CwlValue


def placeholders(tool: ToolPlan, ports: Iterable[str], name: str, directory: Path) -> CwlObject:
    """Return values of their types for some inputs of a tool, and none for those that it does not declare.

    Args:
        tool: The tool.
        ports: The inputs.
        name: Name of the call, which placeholders are named after, as ``UNKNOWN-align-reads``.
        directory: Gets files that stand for unknown ones.
    """
    wanted = frozenset(ports)
    return {port.id: _placeholder(tool, port, name, directory) for port in tool.inputs if port.id in wanted}


def _placeholder(tool: ToolPlan, port: InputPort, name: str, directory: Path) -> CwlValue:
    text = f"UNKNOWN-{name}-{port.id}"
    basename = re.sub(r"[^A-Za-z0-9_-]+", "-", text)
    file = _file(directory, basename, "File")
    if port.format:
        file["format"] = port.format[0]
    others = [_file(directory, beside(basename, pattern), "File") for pattern in _patterns(tool, port)]
    if others:
        file["secondaryFiles"] = [*others]
    folder = _file(directory, f"{basename}-directory", "Directory")
    known: CwlObject = {"string": text, "Any": text, "File": file, "Directory": folder}
    return example(parse_type(port.type), {**EXAMPLES, **known})


def _file(directory: Path, basename: str, kind: str) -> CwlObject:
    place = directory / basename
    if kind == "Directory":
        place.mkdir(exist_ok=True)
    else:
        place.touch()
    return {"class": kind, "location": place.as_uri(), "basename": basename}


def _patterns(tool: ToolPlan, port: InputPort) -> list[str]:
    """Return the patterns of an input's secondary files, as far as they are no expressions."""
    inputs = tool.document.get("inputs")
    entries = [entry for entry in inputs if isinstance(entry, dict)] if isinstance(inputs, list) else []
    own = next((entry for entry in entries if str(entry.get("id")).rpartition("/")[2] == port.id), {})
    listed = own.get("secondaryFiles") or []
    patterns = listed if isinstance(listed, list) else [listed]
    texts = [str(each.get("pattern")) if isinstance(each, dict) else str(each) for each in patterns]
    return [text.rstrip("?") for text in texts if "$" not in text]
