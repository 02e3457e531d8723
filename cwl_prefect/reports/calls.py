"""One call of a run as its record tells it, with all that is needed to bind it again."""

from dataclasses import dataclass
from pathlib import Path

from cwl_prefect._lib.suggestions import near
from cwl_prefect.engine.workflow.overrides import tool_steps
from cwl_prefect.errors import DocumentError, InputError
from cwl_prefect.flows.explain.recorded import PastCall
from cwl_prefect.model.names import without_indices
from cwl_prefect.model.plan import ToolPlan, WorkflowPlan, decode_plan
from cwl_prefect.reports.crate.history import Call, read_history
from cwl_prefect.reports.record import CallTry
from cwl_prefect.reports.trace import PLAN

SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedCall:
    """A call that was recorded: the last of its tries."""

    past: PastCall
    tried: CallTry
    secret: bool  # whether something of it may have been left out


def recorded_call(directory: Path, name: str) -> RecordedCall:
    """Return a call of a run.

    Args:
        directory: Directory of the run's record.
        name: Its name, as ``align[3]``; that of its step where there is one call only.

    Raises:
        InputError: There is no such call, or more than one, or its inputs were not recorded.
        DocumentError: The plan was not recorded, or by another version.
    """
    history = read_history(directory)
    found = _named(list(history.calls), name)
    plan = _plan(directory)
    step = without_indices(found.tried.step)
    tool = next((each.run for path, each in tool_steps(plan) if path == step), None)
    if not isinstance(tool, ToolPlan):
        raise InputError(f"the plan of the run has no step {step}.")
    if not found.inputs and any(port.required for port in tool.inputs):
        raise InputError(
            f"the inputs of {found.tried.call} were not recorded.",
            hint="they are too large, or the call had none when it ended; `explain-job` shows what a step would be.",
        )
    past = PastCall(
        run_id=directory.name,
        plan=plan,
        tool=tool,
        name=found.tried.call,
        inputs=found.inputs,
        contained=found.tried.image is not None,
        image=found.tried.image,
    )
    return RecordedCall(past=past, tried=found.tried, secret=bool(history.record.started.get("secret")))


def _named(calls: list[Call], name: str) -> Call:
    """Return the last try of the call that is meant.

    Raises:
        InputError: There is none, or more than one.
    """
    last = {call.tried.call: call for call in calls}
    if name in last:
        return last[name]
    of_step = [call for call in last.values() if without_indices(call.tried.step) == without_indices(name) == name]
    if len(of_step) == 1:
        return of_step[0]
    if of_step:
        failed = [call.tried.call for call in of_step if call.tried.state == "failed"]
        shown = (failed or [call.tried.call for call in of_step])[:SHOWN]
        raise InputError(f"{name} was called {len(of_step)} times.", hint=f"name one call, as {', '.join(shown)}.")
    meant = near(name, last) or near(name, map(without_indices, last))
    hint = f"did you mean {meant}?" if meant else f"there are: {', '.join(list(last)[:SHOWN]) or 'none'}."
    raise InputError(f"no call {name} of the run is recorded.", hint=hint)


def _plan(directory: Path) -> WorkflowPlan:
    try:
        return decode_plan((directory / PLAN).read_bytes())
    except (OSError, ValueError) as error:
        raise DocumentError(
            f"{directory / PLAN} cannot be read.", hint="another version of cwl-prefect recorded it."
        ) from error
