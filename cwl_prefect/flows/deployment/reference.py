"""A workflow as it was deployed: the job order that the parameters of each run go over, and where its files lie now."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from pydantic import JsonValue

from cwl_prefect.cwl.binding.job_orders import is_elsewhere, load_job_order
from cwl_prefect.flows.parameters import job_order
from cwl_prefect.model.plan import InputPort, WorkflowPlan, decode_plan, encode_plan
from cwl_prefect.model.values import CwlObject, CwlValue, as_object, map_file_objects


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """A workflow as it was deployed.

    Attributes:
        plan: What to run.
        given: Inputs that the job order gives; parameters go over them.
        locations: Where the files lie that were deployed with it, by the locations that the form knows them by.
        unseen: Whether the job order is on the workers' machines alone, so that it may give any input.
    """

    plan: WorkflowPlan
    given: CwlObject = field(default_factory=dict)
    locations: Mapping[str, str] = field(default_factory=dict)
    unseen: bool = False

    @classmethod
    def foreseen(cls, plan: WorkflowPlan, inputs_file: str | None) -> "Deployed":
        """Read the job order for workers on other machines, where it may be although it is not here.

        Raises:
            InputError: It is here or a URL, and cannot be read.
        """
        if inputs_file is not None and is_elsewhere(inputs_file):
            return cls(plan=plan, unseen=True)
        return cls.read(plan, inputs_file)

    @classmethod
    def read(
        cls, plan: WorkflowPlan, inputs_file: str | None, locations: Mapping[str, str] | None = None
    ) -> "Deployed":
        """Read the job order that a deployment names, if any.

        Raises:
            InputError: It cannot be read.
        """
        given = {} if inputs_file is None else load_job_order(inputs_file)
        return cls(plan=_moved_plan(plan, locations or {}), given=given, locations=locations or {})

    def order(self, parameters: Mapping[str, object]) -> CwlObject:
        """Return the job order of a run.

        Raises:
            InputError: There is no input for a parameter.
        """
        return {**self.given, **as_object(_moved(job_order(self.form, parameters), self.locations))}

    @property
    def form(self) -> WorkflowPlan:
        """The plan as its form shows it: what the job order gives, or may give, is optional and has no default."""
        return with_optional_inputs(self.plan, [port.id for port in self.plan.inputs] if self.unseen else self.given)


def with_optional_inputs(plan: WorkflowPlan, names: Iterable[str]) -> WorkflowPlan:
    """Return a plan whose named inputs may be left out; for its form only, since its document stays as it is."""
    optional = set(names)
    return replace(plan, inputs=tuple(_optional(port) if port.id in optional else port for port in plan.inputs))


def _optional(port: InputPort) -> InputPort:
    members: list[JsonValue] = list(port.type) if isinstance(port.type, list) else [port.type]
    return replace(port, type=members if "null" in members else ["null", *members], default=None)


def _moved_plan(plan: WorkflowPlan, locations: Mapping[str, str]) -> WorkflowPlan:
    """Return a plan that looks for its files elsewhere; its digest stays."""
    if not locations:
        return plan
    return decode_plan(json.dumps(_moved(json.loads(encode_plan(plan)), locations)))


def _moved(value: CwlValue, locations: Mapping[str, str]) -> CwlValue:
    def _change(found: CwlObject) -> CwlObject:
        location = found.get("location", found.get("path"))
        if not isinstance(location, str) or location not in locations:
            return found
        return {name: item for name, item in found.items() if name != "path"} | {"location": locations[location]}

    return map_file_objects(value, _change) if locations else value
