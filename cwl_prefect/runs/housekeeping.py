"""The flow that collects workspaces and the call cache by a schedule, on the machine of its worker."""

import asyncio

from prefect import flow, get_client
from prefect.logging import get_run_logger

from cwl_prefect.flows.lifecycle.collecting import collect
from cwl_prefect.flows.lifecycle.reaping import reap_abandoned
from cwl_prefect.flows.storage_blocks import lent_by_block
from cwl_prefect.runs.cache_collecting import collect_cache
from cwl_prefect.runs.concluding import conclude
from cwl_prefect.runs.records import asking
from cwl_prefect.server.client import posting
from cwl_prefect.settings import Settings

ENTRYPOINT = "cwl_prefect.flows.housekeeping.collect_workspaces"


@flow(name="cwl-prefect-workspace-gc")
async def collect_workspaces(unused_for_s: float | None = None, most_bytes: int | None = None) -> dict[str, int]:
    """Mark and remove what is due, leftovers of killed runs, and what is old or too much in the call cache.

    Args:
        unused_for_s: Seconds after which what nobody used in the cache goes; None: it stays.
        most_bytes: How much may stay in the cache; None: all.
    """
    settings = Settings()
    with await lent_by_block(settings):
        return await _collect(settings, unused_for_s, most_bytes)


async def _collect(settings: Settings, unused_for_s: float | None, most_bytes: int | None) -> dict[str, int]:
    done = await asyncio.to_thread(collect, settings)
    async with get_client() as client:
        done.removed.extend(await conclude(done.killed, asking(posting(client)), settings))
    done.containers = await reap_abandoned(settings)
    found = {
        "marked": len(done.marked),
        "removed": len(done.removed),
        "containers": done.containers,
        "files": done.files,
        "uploads": done.uploads,
        "objects": done.objects,
    }
    get_run_logger().info("workspaces: %s", ", ".join(f"{count} {what}" for what, count in found.items()))
    return found | await _collect_cache(settings, unused_for_s, most_bytes)


async def _collect_cache(settings: Settings, unused_for_s: float | None, most_bytes: int | None) -> dict[str, int]:
    collected = await asyncio.to_thread(collect_cache, settings, unused_for_s=unused_for_s, most_bytes=most_bytes)
    get_run_logger().info("call cache: %s", collected.told("removed"))
    return {"calls": collected.swept.entries, "downloads": collected.evicted.downloads}
