"""At the start of a run, remove what other runs left that were killed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cwl_prefect._lib.cancellation import cancel_and_wait
from cwl_prefect.flows.execution.run import RunRequest
from cwl_prefect.flows.lifecycle.reaping import reap_abandoned
from cwl_prefect.model.plan import ToolPlan, WorkflowPlan
from cwl_prefect.settings import BackendName


@asynccontextmanager
async def swept(plan: WorkflowPlan, request: RunRequest) -> AsyncIterator[None]:
    """Remove abandoned containers while a run that uses containers goes on; it does not wait for that."""
    wanted = request.backends is None and request.settings.backend is not BackendName.LOCAL and names_images(plan)
    sweeping = asyncio.create_task(reap_abandoned(request.settings)) if wanted else None
    try:
        yield
    finally:
        if sweeping is not None:
            await cancel_and_wait(sweeping)


def names_images(plan: WorkflowPlan) -> bool:
    """Check whether any tool of a plan asks for an image."""
    return any(
        step.run.image is not None if isinstance(step.run, ToolPlan) else names_images(step.run) for step in plan.steps
    )
