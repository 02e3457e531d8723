"""Which limits of the Prefect server a workflow needs, found out before anything of it runs."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from cwl_prefect.engine.scheduling.shared_limits import slots_of
from cwl_prefect.engine.workflow.overrides import tool_steps
from cwl_prefect.errors import UsageError
from cwl_prefect.flows.concurrency.slots import SharedLimits
from cwl_prefect.model.plan import ProcessClass, ToolPlan, WorkflowPlan
from cwl_prefect.server.failures import api_failures

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient


@asynccontextmanager
async def shared_limits(plan: WorkflowPlan, run_id: str) -> AsyncIterator[SharedLimits]:
    """Yield the limits that a run's calls share with other runs; a client is opened only where there are any.

    Raises:
        DocumentError: A hint is wrong.
        UsageError: The server has no such limit, or none that is large enough.
    """
    demands = list(_demands(plan))
    if not demands:
        yield SharedLimits(run_id=run_id)
        return
    from prefect import get_client

    async with get_client() as client:
        for step, name, count in demands:
            await _demand(step, name, count, client)
        yield SharedLimits(run_id=run_id, client=client)


def _demands(plan: WorkflowPlan) -> Iterator[tuple[str, str, int]]:
    for step, found in tool_steps(plan):
        if isinstance(found.run, ToolPlan) and found.run.process_class is ProcessClass.COMMAND_LINE_TOOL:
            for name, count in slots_of(found.run, step).items():
                yield step, name, count


async def _demand(step: str, name: str, count: int, client: "PrefectClient") -> None:
    from prefect.exceptions import ObjectNotFound

    try:
        with api_failures(f"The concurrency limit {name} cannot be read"):
            limit = await client.read_global_concurrency_limit_by_name(name)
    except ObjectNotFound as error:
        raise UsageError(
            f"{step} needs the concurrency limit {name!r}, which the Prefect server does not have.",
            hint=f"make it by `prefect gcl create {name} --limit NUMBER`.",
        ) from error
    if count > limit.limit:
        raise UsageError(
            f"{step} occupies {count} slots of the concurrency limit {name!r}, which has {limit.limit}.",
            hint=f"raise it by `prefect gcl update {name} --limit {count}`, or occupy fewer.",
        )
