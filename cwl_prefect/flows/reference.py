"""Inputs by reference: a deployment may name a job order, over which the parameters of each run go."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from pydantic import JsonValue

from cwl_prefect.cwl.job_orders import load_job_order
from cwl_prefect.model.plan import InputPort, WorkflowPlan
from cwl_prefect.model.values import CwlObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """A workflow as it was deployed.

    Attributes:
        plan: What to run.
        given: Inputs that the job order gives; parameters go over them.
    """

    plan: WorkflowPlan
    given: CwlObject = field(default_factory=dict)

    @classmethod
    def read(cls, plan: WorkflowPlan, inputs_file: str | None) -> "Deployed":
        """Read the job order that a deployment names, if any.

        Raises:
            InputError: It cannot be read.
        """
        if inputs_file is None:
            return cls(plan=plan)
        return cls(plan=plan, given=load_job_order(inputs_file))

    @property
    def form(self) -> WorkflowPlan:
        """The plan as its form shows it: what the job order gives is optional and has no default."""
        return with_optional_inputs(self.plan, self.given)


def with_optional_inputs(plan: WorkflowPlan, names: Iterable[str]) -> WorkflowPlan:
    """Give a plan whose named inputs may be left out; for its form only, since its document stays as it is."""
    optional = set(names)
    return replace(plan, inputs=tuple(_optional(port) if port.id in optional else port for port in plan.inputs))


def _optional(port: InputPort) -> InputPort:
    members: list[JsonValue] = list(port.type) if isinstance(port.type, list) else [port.type]
    return replace(port, type=members if "null" in members else ["null", *members], default=None)
