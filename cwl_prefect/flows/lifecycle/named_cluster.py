"""Which cluster has the Jobs of a run whose driver is gone, where its work pool names one by a block of Prefect."""

from contextlib import AsyncExitStack
from uuid import UUID

from prefect import get_client
from prefect.client.orchestration import PrefectClient
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL

from cwl_prefect.backends.kubernetes.api.credentials import ClusterConfig
from cwl_prefect.backends.kubernetes.cluster import defaults_of_all
from cwl_prefect.backends.naming import FLOW_RUN_LABEL
from cwl_prefect.errors import BackendError
from cwl_prefect.flows.execution.work_pool import StepsPool, job_variables, pool_of, read_steps_pool
from cwl_prefect.flows.session import connected
from cwl_prefect.server.failures import api_failures
from cwl_prefect.settings import BackendName, Settings


async def named_cluster(run_id: str, pool: str, settings: Settings) -> ClusterConfig:
    """Ask Prefect for the cluster that a work pool and a flow run's job variables name, as the run itself did.

    Nothing of the block is kept on this machine, so that no key of a cluster lies there.

    Raises:
        UsageError: There is no such pool any more.
        BackendError: The pool's template and the job variables are not valid, or name no cluster any more.
        ServerError: Prefect's API does not answer.
    """
    then = settings.model_copy(update={"steps_pool": pool, "backend": BackendName.KUBERNETES})
    with api_failures(f"Prefect's API does not tell the cluster of the work pool {pool}"):
        async with AsyncExitStack() as stack:
            if not PREFECT_API_URL.value():
                await stack.enter_async_context(connected(settings))
            client = await stack.enter_async_context(get_client())
            variables = job_variables(then, await _pool(client, UUID(run_id), pool, then))
            found = (await defaults_of_all(variables, client=client)).cluster
    if found is None:
        raise BackendError(
            f"the work pool {pool} names no cluster any more",
            hint=f"kubectl delete jobs -l {FLOW_RUN_LABEL}={run_id} on the cluster that it named",
        )
    return found


async def _pool(client: PrefectClient, run_id: UUID, pool: str, settings: Settings) -> StepsPool | None:
    try:
        return await pool_of(await client.read_flow_run(run_id), settings, client)
    except ObjectNotFound:  # the run or its deployment was deleted, and its job variables with it
        return await read_steps_pool(pool, (), client)
