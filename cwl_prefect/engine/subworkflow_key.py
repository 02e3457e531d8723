"""What a subworkflow does, told apart from how its steps are called and in which order they are written."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cwl_prefect.engine.fingerprint import digest, in_order
from cwl_prefect.model.plan import Link, Source, StepId, StepPlan, WorkflowPlan
from cwl_prefect.model.values import CwlObject, CwlValue

STEP = "step "
"""What the name of a part begins with that is a step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """What counts of all that a subworkflow is made of.

    Attributes:
        plan: The subworkflow.
        declared: Its input declarations.
        processes: What each of its steps runs: what counts of the tool and of what it runs in, or another subworkflow.
        scripts: What counts of the requirements of each step's own expressions.
        defaults: Values of its inputs that are not given.
    """

    plan: WorkflowPlan
    declared: CwlObject
    processes: "Mapping[StepId, CwlObject | Inside]"
    scripts: Mapping[StepId, CwlObject]
    defaults: CwlObject


def structure(inside: Inside, settle: Callable[[CwlValue], CwlValue]) -> CwlObject:
    """Describe a subworkflow so that two that do the same have the same description.

    A step is known by the digest of what it runs and of the steps that it takes values from; neither its name nor its
    place in the document counts. Steps that no output comes from count too, since they may fail.

    Args:
        inside: All that it is made of.
        settle: Puts fingerprints in place of files.
    """
    names: dict[StepId, str] = {}
    for step in inside.plan.steps:  # in topological order
        names[step.id] = digest(settle(_step(inside, step, names, settle)))
    return {
        "declared": settle(inside.declared),
        "defaults": settle(_defaults(inside)),
        "steps": [*sorted(names.values())],
        "outputs": {port.id: None if port.link is None else _link(port.link, names) for port in inside.plan.outputs},
    }


def for_people(inside: Inside, settle: Callable[[CwlValue], CwlValue]) -> CwlObject:
    """Give the digests of the parts of a subworkflow, by which a person sees what changed.

    Steps of its own subworkflows are called by their paths, as ``step prepare.align``.
    """
    found: CwlObject = {}
    for step in inside.plan.steps:
        described = settle(_step(inside, step, {other.id: other.id for other in inside.plan.steps}, settle))
        found[f"{STEP}{step.id}"] = digest(described)
        process = inside.processes[step.id]
        deeper = for_people(process, settle) if isinstance(process, Inside) else {}
        for name, part in deeper.items():
            if name.startswith(STEP):
                found[f"{STEP}{step.id}.{name.removeprefix(STEP)}"] = part
    outputs: CwlObject = {
        port.id: None if port.link is None else _link(port.link, {step.id: step.id for step in inside.plan.steps})
        for port in inside.plan.outputs
    }
    return {**found, "inputs": digest([settle(inside.declared), settle(_defaults(inside))]), "outputs": digest(outputs)}


def _step(
    inside: Inside, step: StepPlan, names: Mapping[StepId, str], settle: Callable[[CwlValue], CwlValue]
) -> CwlObject:
    process = inside.processes[step.id]
    loop: CwlValue = None
    if step.loop is not None:
        own = {source.step: "self" for link in step.loop.links for source in link.sources if source.step is not None}
        loop = [step.loop.when, step.loop.output.value, {link.port: _link(link, own) for link in step.loop.links}]
    return {
        "process": structure(process, settle) if isinstance(process, Inside) else process,
        "links": {link.port: _link(link, names) for link in step.links},
        "when": step.when,
        "scatter": None if step.scatter is None else [list(step.scatter.ports), step.scatter.method.value],
        "loop": loop,
        "script": inside.scripts[step.id],
    }


def _link(link: Link, names: Mapping[StepId, str]) -> CwlObject:
    return {
        "sources": [_source(source, names) for source in link.sources],
        "merge": None if link.link_merge is None else link.link_merge.value,
        "pick": None if link.pick_value is None else link.pick_value.value,
        "value": link.value_from,
        "default": in_order(link.default),
        "contents": link.load_contents,
        "listing": link.load_listing,
    }


def _defaults(inside: Inside) -> CwlObject:
    return {port: in_order(value) for port, value in inside.defaults.items()}


def _source(source: Source, names: Mapping[StepId, str]) -> CwlValue:
    return [None if source.step is None else names[source.step], source.port]
