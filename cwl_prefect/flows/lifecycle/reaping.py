"""Remove the containers and Jobs that runs left; selected by label only, within a time limit."""

import asyncio
import logging
from collections.abc import Awaitable

from cwl_prefect.backends.kubernetes import marks
from cwl_prefect.backends.kubernetes.api.credentials import ClusterConfig
from cwl_prefect.backends.kubernetes.marks import Mark
from cwl_prefect.backends.naming import FLOW_RUN_LABEL
from cwl_prefect.environment import own_pod
from cwl_prefect.flows.cleanup import attempted
from cwl_prefect.flows.lifecycle.collecting import is_abandoned
from cwl_prefect.settings import Settings

_logger = logging.getLogger(__name__)


async def reap_run(flow_run_id: str) -> int:
    """Remove all containers and Jobs of a flow run, within a time limit, and tell how many; a failure is logged."""
    from cwl_prefect.backends.docker.engine import engine_answers

    removals = []
    if await engine_answers():
        removals.append(_attempt("containers", flow_run_id, _remove_containers(flow_run_id)))
    if own_pod() is not None or marks.noted(Settings().home, flow_run_id) is not None:
        removals.append(_attempt("Jobs", flow_run_id, _remove_jobs(flow_run_id, Settings())))
    return sum(await asyncio.gather(*removals))


async def _attempt(what: str, flow_run_id: str, removal: Awaitable[int]) -> int:
    removed = await attempted(f"{what} of the flow run {flow_run_id} could not be removed", removal)
    if removed:
        _logger.warning("removed %d %s that the flow run %s had left", removed, what, flow_run_id)
    return removed or 0


async def _remove_containers(flow_run_id: str) -> int:
    from cwl_prefect.backends.docker.backend import DockerBackend

    backend = DockerBackend()
    try:
        return await backend.reap({FLOW_RUN_LABEL: flow_run_id})
    finally:
        await backend.close()


async def _remove_jobs(flow_run_id: str, settings: Settings) -> int:
    from cwl_prefect.backends.kubernetes import jobs as kubernetes_jobs

    own, mark = own_pod(), marks.noted(settings.home, flow_run_id)
    namespaces = {*([] if own is None else [own[0]]), *([] if mark is None else [mark.namespace])}
    named = None if mark is None else await _named_cluster(mark, settings)
    removed = await kubernetes_jobs.reap({FLOW_RUN_LABEL: flow_run_id}, namespaces, named=named)
    marks.forget(settings.home, flow_run_id)
    return removed


async def _named_cluster(mark: Mark, settings: Settings) -> ClusterConfig | None:
    if mark.pool is None:
        return None
    from cwl_prefect.flows.lifecycle.named_cluster import named_cluster

    return await named_cluster(mark.run_id, mark.pool, settings)


async def reap_abandoned(settings: Settings) -> int:
    """Remove the containers and Jobs of runs of this machine that nobody drives any more, and tell how many there were.

    Those of a driver that was killed are left for a while, so that `runs resume` can take them over. A cluster is asked
    only about runs that noted Jobs there. Bounded in time; a failure is told to the log.
    """
    containers, jobs = await asyncio.gather(
        attempted("containers that other runs left could not be removed", _remove_abandoned_containers(settings)),
        _remove_abandoned_jobs(settings),
    )
    return (containers or 0) + jobs


async def _remove_abandoned_jobs(settings: Settings) -> int:
    left = await attempted("runs that left Jobs could not be found", _abandoned_with_jobs(settings)) or []
    removals = [
        attempted(f"Jobs that the run {run_id} left could not be removed", _remove_jobs(run_id, settings))
        for run_id in left
    ]
    return sum(removed or 0 for removed in await asyncio.gather(*removals))


async def _abandoned_with_jobs(settings: Settings) -> list[str]:
    marked = await asyncio.to_thread(marks.noted_runs, settings.home)
    return [run_id for run_id in marked if await asyncio.to_thread(is_abandoned, settings, run_id)]


async def _remove_abandoned_containers(settings: Settings) -> int:
    from cwl_prefect.backends.docker.backend import DockerBackend
    from cwl_prefect.backends.docker.engine import engine_answers

    if not await engine_answers():
        return 0
    backend = DockerBackend()
    try:
        marked = await backend.values_of(FLOW_RUN_LABEL)
        left = [run_id for run_id in marked if await asyncio.to_thread(is_abandoned, settings, run_id)]
        return sum([await backend.reap({FLOW_RUN_LABEL: run_id}) for run_id in left])
    finally:
        await backend.close()
