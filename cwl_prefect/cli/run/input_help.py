"""What ``run DOCUMENT --help`` prints: inputs, types, documentation and defaults."""

import json

from pydantic import JsonValue

from cwl_prefect.cli.run.input_flags import is_boolean
from cwl_prefect.cli.terminal import printable
from cwl_prefect.engine.workflow.cwl_types import EnumType, describe_type, members, parse_type
from cwl_prefect.model.plan import InputPort, WorkflowPlan


def print_input_help(plan: WorkflowPlan, document: str) -> None:
    """Print what a workflow is and the flags for its inputs, on standard output."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    about = plan.doc or plan.label
    console.print(Text(printable(f"Inputs of {document}"), style="bold"))
    if about:
        console.print(Text(printable(about.strip())))
    table = Table(box=None, pad_edge=True, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(style="yellow", overflow="fold")
    table.add_column(overflow="fold")
    for port in plan.inputs:
        flag, kind, said = map(printable, (_flag(port), describe_type(parse_type(port.type)), _about(port)))
        table.add_row(Text(flag, style="cyan"), Text(kind), Text(said))
    console.print(table if plan.inputs else Text("  none"))
    console.print("Options of the run, such as --outdir: cwl-prefect run --help", highlight=False)


def _flag(port: InputPort) -> str:
    return f"--{port.id}/--no-{port.id}" if is_boolean(port) else f"--{port.id}"


def _about(port: InputPort) -> str:
    parts = [(port.doc or port.label or "").strip()]
    for kind in members(parse_type(port.type)):
        if isinstance(kind, EnumType):
            parts.append(f"[one of: {', '.join(kind.symbols)}]")
    if port.default is not None:
        parts.append(f"[default: {_shown(port.default)}]")
    elif port.required:
        parts.append("[required]")
    return " ".join(part for part in parts if part)


def _shown(value: JsonValue) -> str:
    if isinstance(value, dict) and value.get("class") in ("File", "Directory"):
        return str(value.get("path") or value.get("location") or value.get("basename") or "a literal")
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
