"""Deploy a workflow: the plan travels inside the deployment, so that a worker needs only this package."""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pydantic import JsonValue

from cwl_prefect.cwl.inputs import unknown_inputs
from cwl_prefect.deploy.connection import Connection, connected
from cwl_prefect.deploy.pools import read_pool
from cwl_prefect.deploy.schedules import demand_inputs, kept_schedules, new_schedules
from cwl_prefect.deploy.variables import demand_job_variables
from cwl_prefect.errors import InputError, UsageError
from cwl_prefect.flows.carried import Carried
from cwl_prefect.flows.entrypoint import ENTRYPOINT
from cwl_prefect.flows.params import openapi_schema, parameter_names, plain_value
from cwl_prefect.flows.prefect_names import demand_name, flow_name
from cwl_prefect.flows.reference import Deployed
from cwl_prefect.flows.steps import PULL_STEP, pack
from cwl_prefect.model.plan import WorkflowPlan
from cwl_prefect.settings import Settings

if TYPE_CHECKING:
    from prefect.client.schemas.objects import WorkPool
    from prefect.client.schemas.responses import DeploymentResponse

DEFAULT_NAME = "cwl"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentRequest:
    """What is to be deployed, and how it is to run.

    Attributes:
        plan: The workflow.
        pool: Work pool whose workers run it; None where it is served by the caller.
        name: Name of the deployment beside others of the same workflow.
        image: Image of the flow run's own container, for Docker and Kubernetes pools; it has this package installed.
        cron: When runs start by themselves, as cron writes it.
        interval: How often runs start by themselves.
        parameters: Values that the form starts with, by input.
        inputs_file: Job order that the parameters go over; a path of the worker's machine, or a URL.
        job_variables: Job variables over those of the pool.
        concurrency_limit: How many runs of it there may be at once.
        tags: Tags of its runs.
        queue: Queue of the pool that its runs wait in, made where there is none; the pool's own default otherwise.
    """

    plan: WorkflowPlan
    pool: str | None = None
    name: str = DEFAULT_NAME
    image: str | None = None
    cron: str | None = None
    interval: timedelta | None = None
    parameters: Mapping[str, JsonValue] = field(default_factory=dict)
    inputs_file: str | None = None
    job_variables: Mapping[str, JsonValue] = field(default_factory=dict)
    concurrency_limit: int | None = None
    tags: Sequence[str] = ()
    queue: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentResult:
    """A deployment as the server has it now.

    Attributes:
        deployment_id: Its identifier.
        full_name: ``flow/deployment``, as Prefect's commands take it.
        version: First digits of the plan's digest.
        replaced: Version that was deployed before under this name, if any.
        form_url: Page of the UI where a run is started.
        worker_command: What starts a worker for it.
        left: Locations of files that the workflow names and the deployment does not carry.
        unseen: Job order that is not on this machine, so that nobody has looked at it.
        ignored: Names in the job order that are no inputs.
        paused: Whether its schedules start nothing until somebody resumes it.
        kept_schedules: How many active schedules it has from before.
    """

    deployment_id: UUID
    full_name: str
    version: str
    replaced: str | None
    form_url: str | None
    worker_command: str | None
    left: tuple[str, ...] = ()
    unseen: str | None = None
    ignored: tuple[str, ...] = ()
    paused: bool = False
    kept_schedules: int = 0


async def deploy(request: DeploymentRequest, settings: Settings) -> DeploymentResult:
    """Make a deployment, or update the one of the same name.

    Raises:
        InputError: A parameter names no input, a scheduled run would lack one, or the job order is here or a URL and
            cannot be read.
        ServerError: No Prefect API can be reached or started.
        UsageError: There is no such pool, it needs an image or has no such job variable, Prefect forbids the name,
            or the server refuses what is asked.
    """
    async with connected(settings) as connection:
        return await register(request, connection)


async def register(request: DeploymentRequest, connection: Connection) -> DeploymentResult:
    """Make or update a deployment over a connection that is there already.

    Raises:
        InputError: A parameter names no input, a scheduled run would lack one, or the job order cannot be read where it
            has to be.
        UsageError: There is no such pool, it needs an image or has no such job variable, Prefect forbids the name,
            or the server refuses what is asked.
    """
    carried = await asyncio.to_thread(Carried.read, request.plan)
    request = replace(request, plan=_with_files(request.plan, carried))
    read = Deployed.read if request.pool is None else Deployed.foreseen
    deployed = await asyncio.to_thread(read, request.plan, request.inputs_file)
    await _demand_runnable(request, connection)
    full_name = f"{flow_name(request.plan.name)}/{request.name}"
    before = await _existing(connection, full_name)
    wanted = _wanted(request, deployed, before) | {"pull_steps": [{PULL_STEP: _unpack_inputs(request, carried)}]}
    flow_id = await connection.client.create_flow_from_name(flow_name(request.plan.name))
    deployment_id = await connection.client.create_deployment(flow_id=flow_id, **wanted)
    asked = request.cron is not None or request.interval is not None
    return DeploymentResult(
        deployment_id=deployment_id,
        full_name=full_name,
        version=wanted["version"],
        replaced=before.version if before is not None else None,
        form_url=connection.page(f"deployments/deployment/{deployment_id}/run"),
        worker_command=None if request.pool is None else connection.worker_command(request.pool),
        left=carried.left if request.pool else (),
        unseen=request.inputs_file if deployed.unseen else None,
        ignored=tuple(unknown_inputs(request.plan, deployed.given)),
        paused=before is not None and before.paused,
        kept_schedules=0 if asked else sum(each.active is not False for each in wanted["schedules"]),
    )


async def _demand_runnable(request: DeploymentRequest, connection: Connection) -> None:
    """Refuse what Prefect would not take, or no worker of the pool could run."""
    demand_name(request.name, of="deployment")
    if request.queue is not None:
        demand_name(request.queue, of="work queue")
    if request.pool is not None:
        pool = await read_pool(connection, request.pool)
        _demand_image(pool, request)
        await demand_job_variables(request.job_variables, pool, request.plan, connection)


def _with_files(plan: WorkflowPlan, carried: Carried) -> WorkflowPlan:
    """Let a plan's digest, and so the deployment's version, change with the files that it carries."""
    packed = carried.packed()
    if packed is None:
        return plan
    return replace(plan, digest=hashlib.sha256(f"{plan.digest} {packed}".encode()).hexdigest())


def _wanted(request: DeploymentRequest, deployed: Deployed, before: "DeploymentResponse | None") -> dict[str, Any]:
    """Give what the deployment is to be, in the words of Prefect's client."""
    from cwl_prefect.flows.mark import MARK, without_mark

    plan, parameters = request.plan, _parameters(request)
    schedules = new_schedules(request.cron, request.interval) or kept_schedules(before)
    demand_inputs(schedules, deployed.form, parameters)
    return {
        "name": request.name,
        "version": plan.digest[:12],
        "schedules": schedules,
        "concurrency_limit": request.concurrency_limit,
        "parameters": parameters,
        "description": plan.doc or plan.label,
        "work_pool_name": request.pool,
        "work_queue_name": request.queue,
        "tags": [*without_mark(request.tags), MARK],
        "entrypoint": ENTRYPOINT,
        "parameter_openapi_schema": openapi_schema(deployed.form),
        "enforce_parameter_schema": True,
        "job_variables": _job_variables(request),
    }


def _unpack_inputs(request: DeploymentRequest, carried: Carried) -> dict[str, str]:
    inputs = {"plan": pack(request.plan), "inputs_file": request.inputs_file, "carried": carried.packed()}
    return {name: text for name, text in inputs.items() if text is not None}


def _parameters(request: DeploymentRequest) -> dict[str, Any]:
    names = parameter_names(request.plan)
    unknown = sorted(set(request.parameters) - set(names))
    if unknown:
        raise InputError(
            f"{request.plan.name}: there is no input {unknown[0]!r}.",
            hint=f"The inputs are: {', '.join(names) or 'none'}.",
        )
    return {names[port]: plain_value(value) for port, value in request.parameters.items()}


def _job_variables(request: DeploymentRequest) -> dict[str, Any]:
    return dict(request.job_variables) | ({"image": request.image} if request.image else {})


async def _existing(connection: Connection, full_name: str) -> "DeploymentResponse | None":
    from prefect.exceptions import ObjectNotFound

    try:
        return await connection.client.read_deployment_by_name(full_name)
    except ObjectNotFound:
        return None


def _demand_image(pool: "WorkPool", request: DeploymentRequest) -> None:
    """Refuse what no worker could run: Prefect's own default image lacks this package."""
    properties = pool.base_job_template.get("variables", {}).get("properties", {})
    if "image" not in properties:
        if request.image is not None:
            raise UsageError(
                f"The work pool {pool.name} is of type {pool.type}, where flow runs have no image.",
                hint="leave out --image; the images of steps are in the CWL document.",
            )
        return
    fixed = pool.base_job_template.get("job_configuration", {}).get("image")
    if request.image or request.job_variables.get("image") or properties["image"].get("default"):
        return
    if fixed != "{{ image }}" and pool.type != "kubernetes":
        return
    raise UsageError(
        f"The work pool {pool.name} is of type {pool.type}: a flow run needs an image that has cwl-prefect installed.",
        hint="give --image, or set a default image in the pool's job template; it needs cwl-prefect installed.",
    )
