"""The flow that collects workspaces by a schedule, on the machine of its worker."""

import asyncio

from prefect import flow, get_client
from prefect.logging import get_run_logger

from cwl_prefect.flows.lifecycle.collecting import collect
from cwl_prefect.flows.lifecycle.reaping import reap_abandoned
from cwl_prefect.flows.posting import posting
from cwl_prefect.runs.concluding import conclude
from cwl_prefect.runs.records import asking
from cwl_prefect.settings import Settings

ENTRYPOINT = "cwl_prefect.flows.housekeeping.collect_workspaces"


@flow(name="cwl-prefect-workspace-gc")
async def collect_workspaces() -> dict[str, int]:
    """Mark and remove what is due, and remove leftovers of killed runs."""
    settings = Settings()
    done = await asyncio.to_thread(collect, settings)
    async with get_client() as client:
        done.removed.extend(await conclude(done.killed, asking(posting(client)), settings))
    done.containers = await reap_abandoned(settings)
    found = {
        "marked": len(done.marked),
        "removed": len(done.removed),
        "containers": done.containers,
        "files": done.files,
    }
    get_run_logger().info("workspaces: %s", ", ".join(f"{count} {what}" for what, count in found.items()))
    return found
