"""Job variables of a deployment: what no run could use is refused before any begins."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import JsonValue

from cwl_prefect._lib.destinations import Destination, destination_of, without_login
from cwl_prefect.backends.job_template.job_variables import (
    STEP_VARIABLES,
    JobVariables,
    Layer,
    Origin,
    check_flow_run_variables,
    check_job_variables,
    check_step_patterns,
    template_environment,
)
from cwl_prefect.backends.template_checks import OUTDIR, lost_results, remedy, results_environment
from cwl_prefect.deployments.connection import Connection
from cwl_prefect.engine.workflow.overrides import tool_steps
from cwl_prefect.errors import UsageError
from cwl_prefect.flows.execution.work_pool import DOCKER, KUBERNETES, default_template, read_steps_pool
from cwl_prefect.flows.lifecycle.results import demand_placeholders
from cwl_prefect.model.plan import WorkflowPlan

if TYPE_CHECKING:
    from prefect.client.schemas.objects import WorkPool

_NAME = "name a directory of the machines or volumes of the flow runs by its whole path, or a URL."
_STEPS_POOL, _BACKEND = "CWL_PREFECT_STEPS_POOL", "CWL_PREFECT_BACKEND"


def demand_image(given: Mapping[str, JsonValue], pool: "WorkPool") -> None:
    """Refuse what no worker could run: Prefect's own default image lacks this package.

    Args:
        given: The deployment's job variables.
        pool: Pool whose workers run it.

    Raises:
        UsageError: An image is missing, or is given where flow runs have none.
    """
    properties = pool.base_job_template.get("variables", {}).get("properties", {})
    if "image" not in properties:
        if given.get("image") is not None:
            raise UsageError(
                f"The work pool {pool.name} is of type {pool.type}, where flow runs have no image.",
                hint="leave out --image; the images of steps are in the CWL document.",
            )
        return
    fixed = pool.base_job_template.get("job_configuration", {}).get("image")
    if given.get("image") or properties["image"].get("default"):
        return
    if fixed != "{{ image }}" and pool.type != "kubernetes":
        return
    raise UsageError(
        f"The work pool {pool.name} is of type {pool.type}: a flow run needs an image that has cwl-prefect installed.",
        hint="give --image, or set a default image in the pool's job template; it needs cwl-prefect installed.",
    )


def demand_results(given: Mapping[str, JsonValue], pool: "WorkPool") -> None:
    """Refuse a deployment whose results would go where nobody finds them.

    Args:
        given: The deployment's job variables.
        pool: Pool whose workers run it.

    Raises:
        UsageError: They would go away with the containers of flow runs, or their destination is a URL that they
            cannot go to, or a path that means another directory wherever a flow run starts.
    """
    template = pool.base_job_template or default_template(pool.type)
    outdir = str(results_environment(template, given).get(OUTDIR) or "")
    place = _place(outdir)
    demand_placeholders(outdir)
    if outdir and isinstance(place, Path) and not place.is_absolute():
        raise UsageError(f"{OUTDIR} of the flow runs is {outdir}, which is relative.", hint=_NAME)
    lost = lost_results(pool.type, template, given)
    if lost is not None:
        raise UsageError(f"The work pool {pool.name}: {lost}", hint=remedy(pool.type))


def _place(outdir: str) -> Destination:
    try:
        return destination_of(outdir)
    except ValueError as error:
        raise UsageError(f"{OUTDIR} of the flow runs is {without_login(outdir)}: {error}.", hint=_NAME) from None


async def demand_job_variables(
    given: Mapping[str, JsonValue], pool: "WorkPool", plan: WorkflowPlan, connection: Connection
) -> None:
    """Refuse job variables that a pool has not, and overrides of steps that cannot be.

    Args:
        given: The deployment's job variables.
        pool: Pool whose workers run it.
        plan: The workflow.
        connection: Where another pool for its steps is read, if the environment names one.

    Raises:
        UsageError: The pool or a step's container has no such variable, an override is none or fits no step, or there
            is no pool for the steps of the name that is given.
    """
    own = given.get("env")
    environment = template_environment(pool.base_job_template) | (own if isinstance(own, dict) else {})
    template, pool_type = pool.base_job_template, pool.type
    if named := environment.get(_STEPS_POOL):
        other = await read_steps_pool(str(named), (), connection.client)
        template, pool_type = dict(other.base_job_template), other.type
    check_flow_run_variables(given, pool.base_job_template, pool_type=pool.type, for_steps=template)
    if STEP_VARIABLES not in given:
        return
    variables = JobVariables(template=template, layers=(Layer(origin=Origin.DEPLOYMENT, variables=given),))
    steps = [name for name, _ in tool_steps(plan)]
    if pool_type in {DOCKER, KUBERNETES} and _BACKEND not in environment:
        check_job_variables(variables, pool_type=pool_type, steps=steps)
    else:  # which engine runs the steps, and by which template, is up to the worker's own settings
        check_step_patterns(variables, steps=steps)
