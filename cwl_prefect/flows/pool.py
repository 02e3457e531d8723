"""Which work pool's job template the steps of a run use."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue

from cwl_prefect.backends.template import overlay
from cwl_prefect.errors import UsageError
from cwl_prefect.settings import Settings

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient


@dataclass(frozen=True, slots=True, kw_only=True)
class StepsPool:
    """A work pool as the steps of one run see it.

    Attributes:
        name: Its name.
        type: ``docker``, ``kubernetes``, ``process`` or another that Prefect knows.
        base_job_template: Its job template.
        variables: Job variables: the deployment's, and the run's over them.
        client: Resolves blocks and variables that the template refers to.
    """

    name: str
    type: str
    base_job_template: Mapping[str, JsonValue]
    variables: Mapping[str, JsonValue] = field(default_factory=dict)
    client: "PrefectClient | None" = field(default=None, repr=False, compare=False)


async def steps_pool(settings: Settings) -> StepsPool | None:
    """Give the pool that the settings name, else that of the flow run's deployment, or None where there is neither.

    A run without a deployment or a named pool asks the API nothing.

    Raises:
        UsageError: There is no such pool.
    """
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return None
    flow_run = context.flow_run
    if settings.steps_pool is None and flow_run.deployment_id is None:
        return None
    client: Any = context.client
    own = dict(flow_run.job_variables or {})
    name, deployed = settings.steps_pool, dict[str, Any]()
    if flow_run.deployment_id is not None:
        deployment = await client.read_deployment(flow_run.deployment_id)
        deployed = dict(deployment.job_variables or {})
        name = name or flow_run.work_pool_name or deployment.work_pool_name
    return None if name is None else await _read(name, overlay(deployed, own), client)


async def _read(name: str, variables: Mapping[str, JsonValue], client: Any) -> StepsPool:
    from prefect.exceptions import ObjectNotFound

    try:
        found = await client.read_work_pool(name)
    except ObjectNotFound as error:
        raise UsageError(
            f"There is no work pool {name} for the steps.",
            hint="see `prefect work-pool ls`; the setting CWL_PREFECT_STEPS_POOL or --steps-pool names it.",
        ) from error
    template = found.base_job_template or _default_template(found.type)
    return StepsPool(name=name, type=found.type, base_job_template=template, variables=variables, client=client)


def _default_template(pool_type: str) -> dict[str, Any]:
    from prefect.workers.base import BaseWorker

    worker = BaseWorker.get_worker_class_from_type(pool_type)
    return {} if worker is None else worker.get_default_base_job_template()
