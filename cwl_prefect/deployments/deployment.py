"""Deploy a workflow: the plan travels inside the deployment, so that a worker needs only this package."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from pydantic import JsonValue

from cwl_prefect.cwl.binding.inputs import unknown_inputs
from cwl_prefect.deployments.connection import Connection, connected
from cwl_prefect.deployments.earlier import Earlier, demand_same_pool
from cwl_prefect.deployments.pools import read_pool
from cwl_prefect.deployments.schedules import demand_inputs, new_schedules
from cwl_prefect.deployments.variables import demand_image, demand_job_variables, demand_results
from cwl_prefect.errors import InputError, UsageError
from cwl_prefect.flows.deployment.reference import Deployed
from cwl_prefect.flows.deployment.storage import WorkflowStorage
from cwl_prefect.flows.parameters import parameter_names, plain_value
from cwl_prefect.flows.prefect_names import ENTRYPOINT, demand_name, flow_name
from cwl_prefect.model.deployment import CollisionStrategy
from cwl_prefect.model.plan import WorkflowPlan
from cwl_prefect.settings import Settings

if TYPE_CHECKING:
    from prefect.client.schemas.objects import WorkPool
    from prefect.client.schemas.responses import DeploymentResponse

DEFAULT_NAME = "cwl"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentRequest:
    """What is to be deployed, and how it is to run; what is not named below is as in :class:`DeploymentOptions`.

    Attributes:
        plan: The workflow.
        pool: Work pool whose workers run it; None where it is served by the caller.
        crons: When runs start by themselves, each as cron writes it.
        intervals: How often runs start by themselves.
    """

    plan: WorkflowPlan
    pool: str | None = None
    name: str = DEFAULT_NAME
    image: str | None = None
    crons: Sequence[str] = ()
    intervals: Sequence[timedelta] = ()
    timezone: str | None = None
    parameters: Mapping[str, JsonValue] = field(default_factory=dict)
    inputs_file: str | None = None
    job_variables: Mapping[str, JsonValue] = field(default_factory=dict)
    concurrency_limit: int | None = None
    collision_strategy: CollisionStrategy | None = None
    tags: Sequence[str] = ()
    queue: str | None = None
    priority: int | None = None
    move: bool = False
    reset: bool = False


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
        kept: What it has from before, as people call it.
        dropped: Parameters that it had and that do not fit the workflow any more.
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
    kept: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


async def deploy(request: DeploymentRequest, settings: Settings) -> DeploymentResult:
    """Make a deployment, or update the one of the same name.

    Raises:
        InputError: A parameter names no input, a scheduled run would lack one, or the job order is here or a URL and
            cannot be read.
        ServerError: No Prefect API can be reached or started.
        UsageError: There is no such pool, it needs an image or has no such job variable, Prefect forbids the name,
            the deployment is in another pool, or the server refuses what is asked.
    """
    from cwl_prefect.flows.storage_blocks import lent_by_block

    async with connected(settings) as connection:
        with await lent_by_block(settings):
            return await register(request, connection)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A deployment that can be made.

    Attributes:
        request: What is asked for; its plan is the one that travels.
        full_name: ``flow/deployment``, as Prefect's commands take it.
        wanted: What it is to be, in the words of Prefect's client.
        before: The deployment of that name as the server has it.
        earlier: What of that stays.
        deployed: The workflow as workers will see it.
        left: Locations of files that the workflow names and the deployment does not carry.
    """

    request: DeploymentRequest
    full_name: str
    wanted: Mapping[str, Any]
    before: "DeploymentResponse | None"
    earlier: Earlier
    deployed: Deployed
    left: tuple[str, ...]


async def register(request: DeploymentRequest, connection: Connection) -> DeploymentResult:
    """Make or update a deployment over a connection that is there already; its errors are those of :func:`prepare`."""
    return await apply(await prepare(request, connection), connection)


async def prepare(
    request: DeploymentRequest, connection: Connection, storage: WorkflowStorage | None = None
) -> Prepared:
    """Find out what a deployment is to be; the server's is as it was.

    Args:
        request: What is asked for.
        connection: The server.
        storage: The workflow as it travels, with its files; they are read where they lie if none is given.

    Raises:
        InputError: A parameter names no input, a scheduled run would lack one, or the job order cannot be read where it
            has to be.
        UsageError: There is no such pool, it needs an image or has no such job variable, Prefect forbids the name,
            the deployment is in another pool, or the server refuses what is asked.
    """
    if storage is None:
        storage = await asyncio.to_thread(WorkflowStorage.of, request.plan, request.inputs_file)
    request = replace(request, plan=storage.plan)
    read = Deployed.read if request.pool is None else Deployed.foreseen
    deployed = await asyncio.to_thread(read, request.plan, request.inputs_file)
    pool = await _demand_runnable(request, connection)
    full_name = f"{flow_name(request.plan.name)}/{request.name}"
    before = await _existing(connection, full_name)
    if before is not None:
        demand_same_pool(before, full_name, request.pool, move=request.move)
    earlier = _earlier(request, before, deployed, pool)
    wanted = _wanted(request, deployed, earlier)
    if pool is not None:
        demand_results(wanted["job_variables"], pool)
    return Prepared(
        request=request,
        full_name=full_name,
        wanted=wanted | {"pull_steps": [storage.to_pull_step()]},
        before=before,
        earlier=earlier,
        deployed=deployed,
        left=storage.carried.left if request.pool else (),
    )


async def apply(prepared: Prepared, connection: Connection) -> DeploymentResult:
    """Make or update a deployment.

    Raises:
        UsageError: The server refuses what is asked.
    """
    request, before = prepared.request, prepared.before
    flow_id = await connection.client.create_flow_from_name(flow_name(request.plan.name))
    deployment_id = await connection.client.create_deployment(flow_id=flow_id, **prepared.wanted)
    if request.priority is not None:
        await _prioritize(request, connection)
    return DeploymentResult(
        deployment_id=deployment_id,
        full_name=prepared.full_name,
        version=prepared.wanted["version"],
        replaced=before.version if before is not None else None,
        form_url=connection.page(f"deployments/deployment/{deployment_id}/run"),
        worker_command=None if request.pool is None else connection.worker_command(request.pool),
        left=prepared.left,
        unseen=request.inputs_file if prepared.deployed.unseen else None,
        ignored=tuple(unknown_inputs(request.plan, prepared.deployed.given)),
        paused=before is not None and before.paused,
        kept=tuple(_kept(request, prepared.earlier)),
        dropped=prepared.earlier.dropped,
    )


async def _demand_runnable(request: DeploymentRequest, connection: Connection) -> "WorkPool | None":
    """Return the pool; refuse what Prefect would not take, or no worker of the pool could run."""
    demand_name(request.name, of="deployment")
    if request.queue is not None:
        demand_name(request.queue, of="work queue")
    elif request.priority is not None:
        raise UsageError("--priority is that of a queue, and none is named.", hint="name one with --queue.")
    if request.pool is None:
        return None
    pool = await read_pool(connection, request.pool)
    demand_image(_job_variables(request), pool)
    await demand_job_variables(request.job_variables, pool, request.plan, connection)
    return pool


def _earlier(
    request: DeploymentRequest, before: "DeploymentResponse | None", deployed: Deployed, pool: "WorkPool | None"
) -> Earlier:
    if before is None or request.reset:
        return Earlier()
    fields = cast("Mapping[str, JsonValue]", deployed.schema["properties"])
    known = () if pool is None else pool.base_job_template.get("variables", {}).get("properties", {})
    same = before.version == request.plan.digest[:12]
    return Earlier.of(before, fields, pool=request.pool, known=known, same=same)


def _wanted(request: DeploymentRequest, deployed: Deployed, earlier: Earlier) -> dict[str, Any]:
    """Return what the deployment is to be, in the words of Prefect's client."""
    from cwl_prefect.flows.prefect_names import MARK, without_mark

    plan, parameters = request.plan, {**earlier.parameters, **_parameters(request)}
    asked = new_schedules(request.crons, request.intervals, request.timezone)
    schedules = asked or list(earlier.schedules)
    demand_inputs(schedules, deployed.form, parameters)
    return {
        "name": request.name,
        "version": plan.digest[:12],
        "schedules": schedules,
        "parameters": parameters,
        "description": plan.doc or plan.label,
        "work_pool_name": request.pool,
        "work_queue_name": request.queue or earlier.queue,
        "tags": [*without_mark(request.tags or earlier.tags), MARK],
        "entrypoint": ENTRYPOINT,
        "parameter_openapi_schema": deployed.schema,
        "enforce_parameter_schema": True,
        "job_variables": {**earlier.job_variables, **_job_variables(request)},
        **_concurrency(request, earlier),
    }


def _concurrency(request: DeploymentRequest, earlier: Earlier) -> dict[str, Any]:
    """Return how many runs there may be, and what becomes of more.

    Raises:
        UsageError: There is a strategy without a limit.
    """
    from prefect.client.schemas.objects import ConcurrencyLimitStrategy, ConcurrencyOptions

    limit = request.concurrency_limit or earlier.concurrency_limit
    strategy = request.collision_strategy or earlier.collision_strategy
    if strategy is None:
        return {"concurrency_limit": limit}
    if limit is None:
        raise UsageError("--collision-strategy says nothing without a limit.", hint="give --concurrency-limit too.")
    options = ConcurrencyOptions(collision_strategy=ConcurrencyLimitStrategy(strategy))
    return {"concurrency_limit": limit, "concurrency_options": options}


def _kept(request: DeploymentRequest, earlier: Earlier) -> Iterator[str]:
    """Yield what stays as it was, as people call it."""
    count = sum(each.active is not False for each in earlier.schedules)
    if count and not request.crons and not request.intervals:
        yield f"{count} schedule{'' if count == 1 else 's'}"
    own = set(_parameters(request))
    yield from (f"value of {name}" for name in earlier.parameters if name not in own)
    yield from (f"job variable {name}" for name in earlier.job_variables if name not in _job_variables(request))
    if earlier.tags and not request.tags:
        yield f"tag{'' if len(earlier.tags) == 1 else 's'} {', '.join(earlier.tags)}"
    if earlier.concurrency_limit and not request.concurrency_limit:
        yield f"concurrency limit {earlier.concurrency_limit}"
    if earlier.queue not in (None, "default") and not request.queue:
        yield f"queue {earlier.queue}"


async def _prioritize(request: DeploymentRequest, connection: Connection) -> None:
    queue = await connection.client.read_work_queue_by_name(str(request.queue), request.pool)
    await connection.client.update_work_queue(queue.id, priority=request.priority)


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
