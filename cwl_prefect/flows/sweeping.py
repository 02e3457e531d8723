"""At the start of a run, remove what other runs left that were killed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cwl_prefect.flows.reaping import reap_abandoned
from cwl_prefect.flows.run import Caller
from cwl_prefect.model.plan import ToolPlan, WorkflowPlan
from cwl_prefect.settings import BackendName


@asynccontextmanager
async def swept(plan: WorkflowPlan, caller: Caller) -> AsyncIterator[None]:
    """Remove abandoned containers while a run that uses containers goes on; it does not wait for that."""
    wanted = caller.backends is None and caller.settings.backend is not BackendName.LOCAL and names_images(plan)
    sweeping = asyncio.create_task(reap_abandoned(caller.settings)) if wanted else None
    try:
        yield
    finally:
        if sweeping is not None:
            sweeping.cancel()
            await asyncio.gather(sweeping, return_exceptions=True)


def names_images(plan: WorkflowPlan) -> bool:
    """Tell whether any tool of a plan asks for an image."""
    return any(
        step.run.image is not None if isinstance(step.run, ToolPlan) else names_images(step.run) for step in plan.steps
    )
