"""The command ``pool``."""

import asyncio

from cwl_prefect.cli.failures import settings_with
from cwl_prefect.cli.terminal import tell
from cwl_prefect.deploy.pools import PoolType, create_pool
from cwl_prefect.errors import UsageError


def create(name: str, pool_type: str, *, overwrite: bool, keep: bool) -> None:
    """Make a work pool and say how to start a worker for it.

    Raises:
        UsageError: There is a pool of this name, or it is to be both overwritten and kept.
        ServerError: No Prefect API can be reached or started.
    """
    if overwrite and keep:
        raise UsageError("A pool that exists is either kept or overwritten.", hint="give --overwrite or --keep.")
    made = asyncio.run(create_pool(name, PoolType(pool_type), settings_with({}), overwrite=overwrite, keep=keep))
    told = "There already is" if made.kept else "Made"
    tell(f"{told} the work pool {made.name}{f': {made.url}' if made.url else ''}")
    tell(f"  start a worker  {made.worker_command}")
