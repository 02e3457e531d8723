"""Find what an earlier driver of the same run left running or ended, so that nothing runs twice."""

from collections.abc import Iterable, Mapping

from cwl_prefect.backends.base import Backend, JobHandle
from cwl_prefect.engine.staging.stage import unstaged
from cwl_prefect.engine.staging.workspace import Workspace
from cwl_prefect.model.job import BoundCall


async def adopted(
    backend: Backend,
    call: BoundCall,
    workspace: Workspace,
    *,
    name: str,
    job_ids: Iterable[str],
    labels: Mapping[str, str],
) -> JobHandle | None:
    """Take over the job of a call, if an earlier driver left one and it is the one that would be started now.

    Args:
        backend: Where it may be.
        call: The call.
        workspace: Its own; it is not touched.
        name: Its name for people.
        job_ids: Under which ids it may have been started, for one try each.
        labels: Its labels.

    Raises:
        BackendError: The backend cannot tell.
    """
    if not workspace.out.is_dir():
        return None
    for job_id in job_ids:
        handle = await backend.adopt(unstaged(call, workspace, job_id=job_id, name=name, labels=labels))
        if handle is not None:
            return handle
    return None
