"""A workflow as it was deployed: the job order that the parameters of each run go over, and where its files lie now."""

import inspect
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import JsonValue

from cwl_prefect._lib.uris import directory_uri
from cwl_prefect.cwl.access.host_files import HostFiles
from cwl_prefect.cwl.binding.job_orders import is_elsewhere, load_job_order, reference_of, referred
from cwl_prefect.errors import InputError
from cwl_prefect.flows.parameters import job_order, openapi_schema, signature, warn_of_unknown
from cwl_prefect.model.overrides import OVERRIDES
from cwl_prefect.model.plan import InputPort, WorkflowPlan, decode_plan, encode_plan
from cwl_prefect.model.values import REFERENCE, CwlObject, CwlValue, as_object, map_file_objects
from cwl_prefect.settings import Settings
from cwl_prefect.storage.downloads import downloads_of, install

_REFERRING = "URL or path of a file with values of inputs; what is filled in here goes over them."


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """A workflow as it was deployed.

    Attributes:
        plan: What to run.
        given: Inputs that the job order gives; parameters go over them.
        locations: Where the files lie that were deployed with it, by the locations that the form knows them by.
        unseen: Whether the job order is on the workers' machines alone, so that it may give any input.
        referring: Whether each run names its own job order by ``$ref``, which may give any input too.
    """

    plan: WorkflowPlan
    given: CwlObject = field(default_factory=dict)
    locations: Mapping[str, str] = field(default_factory=dict)
    unseen: bool = False
    referring: bool = False

    @classmethod
    def foreseen(cls, plan: WorkflowPlan, inputs_file: str | None) -> "Deployed":
        """Read the job order for workers on other machines, where it may be although it is not here.

        Raises:
            InputError: It is here or a URL, and cannot be read.
        """
        if inputs_file not in (None, REFERENCE) and is_elsewhere(inputs_file):
            return cls(plan=plan, unseen=True)
        return cls.read(plan, inputs_file)

    @classmethod
    def read(
        cls, plan: WorkflowPlan, inputs_file: str | None, locations: Mapping[str, str] | None = None
    ) -> "Deployed":
        """Read the job order that a deployment names, if any; ``$ref`` says that each run names one.

        Raises:
            InputError: It cannot be read.
        """
        referring = inputs_file == REFERENCE
        given = {} if inputs_file is None or referring else load_job_order(inputs_file)
        plan, locations = _moved_plan(plan, locations or {}), locations or {}
        return cls(plan=plan, given=given, locations=locations, referring=referring)

    def order(self, parameters: Mapping[str, object], found: CwlObject | None = None) -> CwlObject:
        """Return the job order of a run.

        Args:
            parameters: Those of its flow run, which go over all else.
            found: Values of the job order that it refers to, if to any.

        Raises:
            InputError: There is no input for a parameter.
        """
        return {**self.given, **(found or {}), **as_object(_moved(job_order(self.form, parameters), self.locations))}

    @property
    def form(self) -> WorkflowPlan:
        """The plan as its form shows it: what the job order gives, or may give, is optional and has no default."""
        every = self.unseen or self.referring
        return with_optional_inputs(self.plan, [port.id for port in self.plan.inputs] if every else self.given)

    @property
    def signature(self) -> inspect.Signature:
        """The signature of its flow."""
        found = signature(self.form)
        return found.replace(parameters=[*found.parameters.values(), *([Referring()] if self.referring else [])])

    @property
    def schema(self) -> dict[str, JsonValue]:
        """The schema of its form."""
        schema = openapi_schema(self.form)
        if not self.referring:
            return schema
        position = len(self.plan.inputs)
        shape = {"type": "string", "title": "Job order", "description": _REFERRING, "position": position}
        return {**schema, "properties": {**as_object(schema["properties"]), REFERENCE: as_object(shape)}}


class Referring(inspect.Parameter):
    """The parameter of a flow by which a run names its job order; inputs have no such name, which is no identifier."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__("job_order", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=str | None)

    @property
    def name(self) -> str:
        """What Prefect knows it by."""
        return REFERENCE


def referred_order(plan: WorkflowPlan, settings: Settings) -> CwlObject:
    """Return the values of the job order that the parameters of this flow run refer to; none where there is none.

    Whoever starts the run of a deployment that trusts nobody names no job order that its document may not read.

    Raises:
        InputError: It may not be read, is no job order, or says what the workflow is.
        StorageError: It lies at a URL and cannot be read.
    """
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    flow_run = None if context is None else context.flow_run
    if flow_run is None or REFERENCE not in flow_run.parameters:
        return {}
    base = directory_uri(Path.cwd())
    place = reference_of(flow_run.parameters, base)
    if place is None:
        return {}
    known, named = HostFiles.of(plan, settings), {"class": "File", "location": place}
    if flow_run.deployment_id is None or not known.untrusted:
        known = known.with_named(as_object(named))
    known.demand_location(place)
    install(downloads_of(settings))
    with known.reaching():
        found, _ = referred(flow_run.parameters, base)
    demand_inputs_alone(plan, found)
    return found


def demand_inputs_alone(plan: WorkflowPlan, order: Mapping[str, object]) -> None:
    """Refuse a job order that changes a flow rather than giving its inputs, and warn of what it gives beside those.

    Raises:
        InputError: It changes requirements.
    """
    if plan.as_written and not OVERRIDES.isdisjoint(order):
        raise InputError(
            f"{plan.name}: a job order cannot change the requirements of a flow that is loaded already.",
            hint="load it with them: `load_flow(load_plan(document, job_order=...))`, or use `run`.",
        )
    warn_of_unknown(plan, order)


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
