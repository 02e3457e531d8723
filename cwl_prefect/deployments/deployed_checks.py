"""What is wrong with a deployment and the flow runs that it makes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import JsonValue

from cwl_prefect.backends.job_template.job_variables import (
    JobVariables,
    Layer,
    Origin,
    check_flow_run_variables,
)
from cwl_prefect.backends.template_checks import results_environment
from cwl_prefect.deployments.connection import Connection
from cwl_prefect.deployments.variables import demand_image
from cwl_prefect.environment import own_pod
from cwl_prefect.errors import UsageError
from cwl_prefect.flows.execution.work_pool import StepsPool, stated_runs
from cwl_prefect.model.findings import Finding
from cwl_prefect.settings import Settings

if TYPE_CHECKING:
    from prefect.client.schemas.objects import WorkPool
    from prefect.client.schemas.responses import DeploymentResponse

    from cwl_prefect.backends.kubernetes.driver_check import Driver

DEPLOYMENT = "deployment"


async def read_deployment(full_name: str, connection: Connection) -> "DeploymentResponse":
    """Return a deployment as the server has it.

    Raises:
        UsageError: There is none of that name.
    """
    from prefect.exceptions import ObjectNotFound

    try:
        return await connection.client.read_deployment_by_name(full_name)
    except (ObjectNotFound, ValueError) as error:  # a name without a slash is no name of one
        hint = "name it as FLOW/NAME; `cwl-prefect deployments ls` lists them."
        raise UsageError(f"There is no deployment {full_name}.", hint=hint) from error


def deployment_finding(deployment: "DeploymentResponse", full_name: str) -> Finding:
    """Return whether runs of a deployment can begin."""
    if deployment.work_pool_name is None:
        return Finding.ok(DEPLOYMENT, f"{full_name} is in no work pool: whoever serves it runs it.")
    told = f"{full_name} is in the work pool {deployment.work_pool_name}"
    if deployment.paused:
        message = f"{told}, and paused: its schedules start nothing."
        return Finding.warning(DEPLOYMENT, message, fix=f"prefect deployment resume '{full_name}'")
    return Finding.ok(DEPLOYMENT, f"{told}.")


def refusals(given: Mapping[str, JsonValue], pool: "WorkPool") -> list[Finding]:
    """Return what in the job variables of a deployment no worker of its pool could run."""
    template = pool.base_job_template
    try:
        demand_image(given, pool)
        check_flow_run_variables(given, template, pool_type=pool.type, for_steps=template)
    except UsageError as error:
        return [Finding.error(DEPLOYMENT, error.message, fix=error.hint or "deploy it again with other variables.")]
    return []


def with_job_variables(template: Mapping[str, JsonValue], given: Mapping[str, JsonValue]) -> JobVariables:
    """Return a template with a deployment's job variables over it."""
    return JobVariables(template=template, layers=(Layer(origin=Origin.DEPLOYMENT, variables=dict(given)),))


def drives_from_here(settings: Settings, pool: "WorkPool") -> bool:
    """Check whether runs are driven where this process is: in a pod, or with the volume of the steps mounted."""
    return own_pod() is not None or settings.kubernetes_volume is not None or settings.steps_pool == pool.name


def driver_of(pool: "WorkPool", template: Mapping[str, JsonValue], given: Mapping[str, JsonValue]) -> "Driver | None":
    """Return what flow runs on a Kubernetes pool have; None where nothing says their image or their directory."""
    from cwl_prefect.backends.kubernetes.checks import flow_run_image
    from cwl_prefect.backends.kubernetes.driver_check import Driver

    layers = (Layer(origin=Origin.DEPLOYMENT, variables=dict(given)),)
    runs = stated_runs(StepsPool(name=pool.name, type=pool.type, base_job_template=template, layers=layers))
    image = given.get("image") or flow_run_image(template)
    if runs is None or not image:
        return None
    return Driver(image=str(image), runs=runs, environment=results_environment(template, given))
