"""The command line that cwltool makes of a tool and values, to compare ours with."""

import copy
import re
from collections.abc import MutableSequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from cwl_utils.sandboxjs import JSEngine, NodeJSEngine, set_js_engine
from cwltool.command_line_tool import CommandLineTool
from cwltool.context import LoadingContext, RuntimeContext
from cwltool.pathmapper import PathMapper
from cwltool.update import INTERNAL_VERSION, ORIGINAL_CWLVERSION
from schema_salad.avro.schema import Names
from schema_salad.sourceline import cmap

from cwl_prefect.cwl.javascript import engine
from cwl_prefect.model.plan import ToolPlan

_NUMBERED = re.compile(r"/stage/\d+/")
_SCIENTIFIC = re.compile(r"-?[0-9.]+e[-+][0-9]+")
_MADE_UP = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")  # names of literals without one


class _Numbered(PathMapper):
    """Stages each input in a directory with a number, as this package does."""

    def setup(self, referenced_files: MutableSequence[Any], basedir: str) -> None:
        for number, found in enumerate(referenced_files):
            place = f"{self.stagedir}/{number}" if self.separateDirs else self.stagedir
            self.visit(found, place, basedir, copy=bool(found.get("writable")), staged=True)


class _Ours(JSEngine):
    """Evaluates JavaScript as this package does, as node may not be there."""

    def __init__(self) -> None:
        self._references = NodeJSEngine()

    def eval(self, scan: str, jslib: str = "", **_options: Any) -> Any:
        return engine.installed().eval(scan, jslib)

    def regex_eval(self, parsed_string: str, remaining_string: str, current_value: Any, **options: Any) -> Any:
        return self._references.regex_eval(parsed_string, remaining_string, current_value, **options)


def bound_by_cwltool(tool: ToolPlan, values: dict[str, Any], place: Path) -> dict[str, Any]:
    """Return command, variables and streams of a call as cwltool binds it."""
    job = bound_job(live_tool(tool), values, place)
    return comparable(
        command=[str(word) for word in job.command_line],
        env={name: value for name, value in job.environment.items() if name != "PATH"},
        streams=[job.stdin or None, job.stdout or None, job.stderr or None],
    )


def live_tool(tool: ToolPlan) -> CommandLineTool:
    """Return a tool as cwltool has it."""
    set_js_engine(_Ours())
    context = LoadingContext()
    context.requirements = [_marked(entry) for entry in tool.requirements if entry["class"] != "DockerRequirement"]
    context.hints = [_marked(entry) for entry in tool.hints if entry["class"] != "DockerRequirement"]
    context.metadata = {"cwlVersion": INTERNAL_VERSION, ORIGINAL_CWLVERSION: tool.cwl_version}
    context.avsc_names = Names()
    context.disable_js_validation = True
    context.relax_path_checks = True
    context.do_validate = False
    return CommandLineTool(_marked({"id": f"#{tool.name}", **tool.document}), context)


def bound_job(live: CommandLineTool, values: dict[str, Any], place: Path) -> Any:
    """Return a call as cwltool binds it."""
    runtime = RuntimeContext({"use_container": False, "name": "x"})
    runtime.outdir, runtime.tmpdir, runtime.stagedir = (str(place / name) for name in ("out", "tmp", "stage"))
    runtime.path_mapper = _Numbered
    return next(live.job(copy.deepcopy(values), None, runtime))  # type: ignore[arg-type]  # nobody listens


def comparable(**found: Any) -> dict[str, Any]:
    """Return what was bound without numbers of staging directories and made-up names, which nobody promises."""
    return {name: _unnumbered(value) for name, value in found.items()}


def _unnumbered(value: Any) -> Any:
    if isinstance(value, str):
        if _SCIENTIFIC.fullmatch(value):
            return format(Decimal(value), "f")
        return _MADE_UP.sub("UUID", _NUMBERED.sub("/stage/N/", value))
    if isinstance(value, dict):
        return {name: _unnumbered(item) for name, item in value.items()}
    return [_unnumbered(item) for item in value] if isinstance(value, list) else value


def _marked(document: Any) -> Any:
    return cmap(copy.deepcopy(dict(document)), fn="plan")
