"""Which texts of a run are secret, and values without them (cwltool's extension ``cwltool:Secrets``)."""

from collections.abc import Iterator, Mapping, Sequence

from pydantic import JsonValue

from cwl_prefect.environment import stage_variables
from cwl_prefect.model.names import short_name
from cwl_prefect.model.plan import StepPlan, ToolPlan, WorkflowPlan
from cwl_prefect.model.values import CwlObject
from cwl_prefect.storage.credentials import lent

HIDDEN = "(secret)"
_SHORTEST = 3  # letters; less than that is in many texts by chance


def secret_inputs(plan: WorkflowPlan | ToolPlan) -> frozenset[str]:
    """Return the inputs of a process whose values are secret: it says so, or a step does that they go to."""
    own = {name for entry in (*plan.requirements, *plan.hints) for name in _named(entry)}
    if isinstance(plan, WorkflowPlan):
        own |= {
            source.port
            for step in plan.steps
            for link in step.links
            if link.port in _secret_ports(step)
            for source in link.sources
            if source.step is None
        }
    return frozenset(own)


def secret_texts(plan: WorkflowPlan, inputs: Mapping[str, JsonValue]) -> tuple[str, ...]:
    """Return all texts that are to appear nowhere, longest first.

    They are of a job order, of the document's own values, and of the credentials that are lent to the run.
    """
    credentials = lent()
    own = () if credentials is None else credentials.secret
    given = [*(inputs.get(name) for name in secret_inputs(plan)), *_stage_secrets(plan), *own]
    found = {text for value in (*given, *_defaults(plan)) for text in _texts(value) if len(text) >= _SHORTEST}
    return tuple(sorted(found, key=len, reverse=True))


def without(value: JsonValue, secret: Sequence[str]) -> JsonValue:
    """Return a value where secret texts, also within others, are replaced."""
    if not secret:
        return value
    if isinstance(value, str):
        return text_without(value, secret)
    if isinstance(value, list):
        return [without(item, secret) for item in value]
    if isinstance(value, dict):
        return {str(without(key, secret)): without(item, secret) for key, item in value.items()}
    return HIDDEN if value is not None and str(value) in secret else value


def text_without(text: str, secret: Sequence[str]) -> str:
    """Return a text where secret ones within it are replaced."""
    for each in secret:
        text = text.replace(each, HIDDEN)
    return text


def object_without(values: CwlObject, plan: WorkflowPlan | ToolPlan, secret: Sequence[str]) -> CwlObject:
    """Return inputs of a process where secret texts are replaced, and the values of secret inputs whatever they are."""
    named = secret_inputs(plan)
    return {
        name: HIDDEN if name in named and value is not None else without(value, secret)
        for name, value in values.items()
    }


def _named(entry: Mapping[str, JsonValue]) -> Iterator[str]:
    """Yield the inputs that a requirement calls secret."""
    names = entry.get("secrets")
    if str(entry.get("class")).rpartition("#")[2].rpartition(":")[2] == "Secrets" and isinstance(names, list):
        yield from (short_name(str(name)) for name in names)


def _secret_ports(step: StepPlan) -> frozenset[str]:
    said = (name for entry in (*step.requirements, *step.hints) for name in _named(entry))
    return secret_inputs(step.run) | frozenset(said)


def _defaults(plan: WorkflowPlan) -> Iterator[JsonValue]:
    own = secret_inputs(plan)
    yield from (port.default for port in plan.inputs if port.id in own)
    for step in plan.steps:
        secret = _secret_ports(step)
        yield from (link.default for link in step.links if link.port in secret)
        yield from (port.default for port in step.run.inputs if port.id in secret)
        if isinstance(step.run, WorkflowPlan):
            yield from _defaults(step.run)


def _stage_secrets(plan: WorkflowPlan) -> Iterator[JsonValue]:
    """Yield the credentials that variables give to steps that stage data."""
    yield from (
        value for step in plan.steps if step.stage for value in stage_variables(secret_inputs(step.run)).values()
    )


def _texts(value: JsonValue) -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from () if name == "class" else _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif value is not None and not isinstance(value, bool):
        yield str(value)
