"""What surrounds the command of a call: variables, streams, the network, its time limit, and what starts it."""

from typing import Any

from cwl_prefect.cwl.javascript.expressions import Scope
from cwl_prefect.cwl.values.errors import part_errors
from cwl_prefect.cwl.values.type_errors import shown
from cwl_prefect.errors import ExpressionError, StepError
from cwl_prefect.model.plan import ToolPlan, requirement

_MPI = "http://commonwl.org/cwltool#MPIRequirement"


def environment(tool: ToolPlan, scope: Scope) -> dict[str, str]:
    """Return the variables of a call (CWL CommandLineTool, §Runtime environment, §EnvVarRequirement)."""
    found: dict[str, str] = {}
    asked = requirement(tool.requirements, tool.hints, "EnvVarRequirement") or {}
    entries: Any = asked.get("envDef") or ()
    for entry in entries:
        with part_errors(f"EnvVarRequirement: {entry['envName']}"):
            value = scope.evaluate(entry["envValue"])
            if not isinstance(value, str):
                raise ExpressionError(f"envValue must be a string, {entry['envValue']} gave {shown(value)}.")
        found[str(entry["envName"])] = value
    return found | {"HOME": str(scope.runtime["outdir"]), "TMPDIR": str(scope.runtime["tmpdir"])}


def stdin(tool: ToolPlan, scope: Scope) -> str | None:
    """Return the path of the file that a call reads as its standard input."""
    with part_errors("stdin"):
        declared = tool.document.get("stdin")
        found = scope.evaluate(declared)
        if found is not None and not isinstance(found, str):
            hint = f"Name its path, as in {str(declared).rstrip(')')}.path)." if isinstance(found, dict) else None
            raise ExpressionError(f"stdin must be the path of a file, {declared} gave {shown(found)}.", hint=hint)
        return found or None


def stream(tool: ToolPlan, name: str, scope: Scope) -> str | None:
    """Return the file of a call's output directory that ``stdout`` or ``stderr`` names."""
    declared = tool.document.get(name)
    if not declared:
        return None
    with part_errors(name):
        found = scope.evaluate(declared)
        if not isinstance(found, str):
            raise ExpressionError(f"{name} must be the name of a file, {declared} gave {shown(found)}.")
        if found.startswith("/") or ".." in found.split("/"):
            raise StepError(f"{name} must be a relative path, found {shown(found)}.")
        return found or None


def network(tool: ToolPlan, scope: Scope) -> bool:
    """Check whether a call may reach the network (CWL CommandLineTool, §NetworkAccess)."""
    asked = requirement(tool.requirements, tool.hints, "NetworkAccess")
    if asked is None:
        return False
    with part_errors("NetworkAccess"):
        found = scope.evaluate(asked["networkAccess"])
        if not isinstance(found, bool):
            raise ExpressionError(f"networkAccess must be true or false, {asked['networkAccess']} gave {shown(found)}.")
        return found


def time_limit_s(tool: ToolPlan, scope: Scope) -> float | None:
    """Return how long a call may run (CWL CommandLineTool, §ToolTimeLimit); None for no limit."""
    asked = requirement(tool.requirements, tool.hints, "ToolTimeLimit")
    if asked is None:
        return None
    with part_errors("ToolTimeLimit"):
        found = scope.evaluate(asked["timelimit"])
        if found is not None and (not isinstance(found, int) or isinstance(found, bool) or found < 0):
            raise ExpressionError(f"timelimit must be a number of seconds, {asked['timelimit']} gave {shown(found)}.")
        return float(found) if found else None


def launched(tool: ToolPlan, command: tuple[str, ...], scope: Scope) -> tuple[str, ...]:
    """Return a command with what starts it in several processes, where MPIRequirement asks for it."""
    asked = requirement(tool.requirements, tool.hints, _MPI)
    if asked is None:
        return command
    with part_errors("MPIRequirement"):
        count = scope.evaluate(asked.get("processes", 1))
        if not isinstance(count, int) or isinstance(count, bool):
            raise ExpressionError(f"processes must be a whole number, {asked.get('processes')} gave {shown(count)}.")
    return ("mpirun", "-n", str(count), *command) if count else command
