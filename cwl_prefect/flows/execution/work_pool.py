"""Which work pool's job template and job variables the steps of a run use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import JsonValue

from cwl_prefect.backends.job_template.job_variables import (
    STEP_PATTERNS,
    STEP_VARIABLES,
    JobVariables,
    Layer,
    Origin,
    check_job_variables,
    packaged_template,
    template_environment,
    template_layer,
)
from cwl_prefect.backends.template_checks import HOME, WORKDIR
from cwl_prefect.cwl.access.host_files import is_untrusted
from cwl_prefect.engine.workflow.overrides import override_tools, tool_steps
from cwl_prefect.errors import UsageError
from cwl_prefect.model.plan import WorkflowPlan
from cwl_prefect.settings import BackendName, Settings

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun

DOCKER, KUBERNETES, PROCESS = "docker", "kubernetes", "process"

_ELSEWHERE = {DOCKER: (PROCESS, KUBERNETES), KUBERNETES: (PROCESS, DOCKER)}
"""By engine, the types of pools whose template says nothing about its containers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepsPool:
    """A work pool as the steps of one run see it.

    Attributes:
        name: Its name.
        type: ``docker``, ``kubernetes``, ``process`` or another that Prefect knows.
        base_job_template: Its job template.
        layers: Job variables over those of the template, weakest first: the deployment's and the run's.
        client: Resolves blocks and variables that the template refers to.
    """

    name: str
    type: str
    base_job_template: Mapping[str, JsonValue]
    layers: tuple[Layer, ...] = ()
    client: "PrefectClient | None" = field(default=None, repr=False, compare=False)


async def steps_pool(settings: Settings) -> StepsPool | None:
    """Return the pool that the settings name, else that of the flow run's deployment, or None where there is neither.

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
    return await pool_of(flow_run, settings, cast("Any", context.client))


async def pool_of(flow_run: "FlowRun", settings: Settings, client: "PrefectClient") -> StepsPool | None:
    """Return the pool of a flow run's steps, with the job variables of its deployment and its own, or None without one.

    Raises:
        UsageError: There is no such pool.
    """
    layers = [Layer(origin=Origin.RUN, variables=dict(flow_run.job_variables or {}))]
    name = settings.steps_pool
    if flow_run.deployment_id is not None:
        deployment = await client.read_deployment(flow_run.deployment_id)
        layers.insert(0, Layer(origin=Origin.DEPLOYMENT, variables=dict(deployment.job_variables or {})))
        name = name or flow_run.work_pool_name or deployment.work_pool_name
    return None if name is None else await read_steps_pool(name, layers, client)


async def read_steps_pool(name: str, layers: Sequence[Layer], client: Any) -> StepsPool:
    """Read a work pool's template; Prefect's own for its type where it has none.

    Raises:
        UsageError: There is no such pool.
    """
    from prefect.exceptions import ObjectNotFound

    try:
        found = await client.read_work_pool(name)
    except ObjectNotFound as error:
        raise UsageError(
            f"There is no work pool {name} for the steps.",
            hint="see `prefect work-pool ls`; the setting CWL_PREFECT_STEPS_POOL or --steps-pool names it.",
        ) from error
    template = found.base_job_template or default_template(found.type)
    return StepsPool(name=name, type=found.type, base_job_template=template, layers=tuple(layers), client=client)


def demanded(settings: Settings, plan: WorkflowPlan, pool: StepsPool | None = None) -> Settings:
    """Return settings with the caution that a document's origin and the template of a pool demand.

    What a template says can be taken back by no deployment.
    """
    stated = {} if pool is None else template_environment(pool.base_job_template)
    untrusted = settings.untrusted or is_untrusted(plan) or _is_said(stated.get("CWL_PREFECT_UNTRUSTED"))
    contained = settings.require_containers or untrusted or _is_said(stated.get("CWL_PREFECT_REQUIRE_CONTAINERS"))
    if (untrusted, contained) == (settings.untrusted, settings.require_containers):
        return settings
    return settings.model_copy(update={"untrusted": untrusted, "require_containers": contained})


def _is_said(value: JsonValue) -> bool:
    return str(value or "").strip().lower() not in ("", "0", "false", "no", "off", "f", "n")


def job_variables(settings: Settings, pool: StepsPool | None) -> JobVariables:
    """Return the job variables of steps: those of their pool, with the overrides of the settings over them.

    Without a pool, or on one of another type, containers have the packaged template; of such a pool's job variables
    only those for steps alone apply to it.
    """
    setting: tuple[Layer, ...] = ()
    if settings.step_overrides:
        overrides: dict[str, JsonValue] = {STEP_VARIABLES: {STEP_PATTERNS: cast("JsonValue", settings.step_overrides)}}
        setting = (Layer(origin=Origin.SETTING, variables=overrides),)
    engine = KUBERNETES if on_kubernetes(settings, pool) else DOCKER
    if pool is not None and pool.type not in _ELSEWHERE[engine]:
        return JobVariables(template=pool.base_job_template, layers=(*pool.layers, *setting))
    given = () if pool is None else (template_layer(pool.base_job_template), *pool.layers)
    own = tuple(replace(layer, variables=_for_steps(layer)) for layer in given)
    base = _kubernetes_base(settings) if engine == KUBERNETES else _docker_base()
    return JobVariables(template=base.template, layers=(*base.layers, *own, *setting))


def on_kubernetes(settings: Settings, pool: StepsPool | None) -> bool:
    """Check whether steps with an image run as Jobs: where that is wanted, or by their pool if nothing else is."""
    by_pool = settings.backend is BackendName.AUTO and pool is not None and pool.type == KUBERNETES
    return settings.backend is BackendName.KUBERNETES or by_pool


def _docker_base() -> JobVariables:
    # The packaged template's volumes are for a flow run's own container, which there is none of.
    no_volumes = Layer(origin=Origin.TEMPLATE, variables={"volumes": []})
    return JobVariables(template=packaged_template(DOCKER), layers=(no_volumes,))


def _kubernetes_base(settings: Settings) -> JobVariables:
    from cwl_prefect.backends.kubernetes.manifest.defaults import without_volumes

    template = packaged_template(KUBERNETES)
    if settings.kubernetes_volume is not None or settings.workspaces is not None:
        template = without_volumes(template)  # no platform asked for those of the packaged template
    namespace: dict[str, JsonValue] = (
        {} if settings.kubernetes_namespace is None else {"namespace": settings.kubernetes_namespace}
    )
    return JobVariables(template=template, layers=(Layer(origin=Origin.TEMPLATE, variables=namespace),))


def runs_of(settings: Settings, pool: StepsPool | None) -> Path:
    """Return where workspaces are: what the settings say, or else what the pool says to its flow runs."""
    stated = None if pool is None or settings.workdir is not None else stated_runs(pool)
    return stated or settings.runs.resolve()


def stated_runs(pool: StepsPool) -> Path | None:
    """Return where flow runs on a pool have workspaces, if the environment of template and job variables says it.

    The environment of a process pool is that of its worker, under what the pool says.
    """
    if pool.type not in (DOCKER, KUBERNETES):
        return None
    stated = template_environment(pool.base_job_template)
    for layer in pool.layers:
        given = layer.variables.get("env")
        stated.update(given if isinstance(given, dict) else {})
    if workdir := stated.get(WORKDIR):
        return Path(str(workdir))
    return Settings(home=Path(str(home)), workdir=None).runs if (home := stated.get(HOME)) else None


def with_overrides(
    plan: WorkflowPlan, variables: JobVariables, pool: StepsPool | None, settings: Settings
) -> WorkflowPlan:
    """Return the plan that runs: with what users changed about single steps.

    Raises:
        UsageError: An override fits no step, or gives what the pool has not.
    """
    if not any(layer.variables.get(STEP_VARIABLES) for layer in variables.all_layers):
        return plan
    engine = KUBERNETES if on_kubernetes(settings, pool) else DOCKER
    pool_type = engine if pool is None or pool.type in _ELSEWHERE[engine] else pool.type
    check_job_variables(variables, pool_type=pool_type, steps=[name for name, _ in tool_steps(plan)])
    return override_tools(plan, variables.tool_override)


def _for_steps(layer: Layer) -> dict[str, JsonValue]:
    return {name: value for name, value in layer.variables.items() if name == STEP_VARIABLES}


def default_template(pool_type: str) -> dict[str, Any]:
    """Return Prefect's own template for pools of a type; empty where no worker of that type is installed."""
    from prefect.workers.base import BaseWorker

    worker = BaseWorker.get_worker_class_from_type(pool_type)
    return {} if worker is None else worker.get_default_base_job_template()
