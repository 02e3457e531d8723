"""The command ``pool``."""

import asyncio

from cwl_prefect.cli.failures import settings_with
from cwl_prefect.cli.terminal import tell
from cwl_prefect.deploy.pools import Existing, PoolType, create_pool
from cwl_prefect.errors import UsageError


def create(name: str, pool_type: str, *, overwrite: bool, update: bool, keep: bool) -> None:
    """Make a work pool and say how to start a worker for it.

    Raises:
        UsageError: There is a pool of this name, or two things are to become of it.
        ServerError: No Prefect API can be reached or started.
    """
    chosen = [each for each, is_chosen in zip(Existing, (overwrite, update, keep), strict=False) if is_chosen]
    if len(chosen) > 1:
        raise UsageError(
            "A pool that exists is either overwritten, updated or kept.", hint="give --overwrite, --update or --keep."
        )
    existing = chosen[0] if chosen else Existing.REFUSE
    made = asyncio.run(create_pool(name, PoolType(pool_type), settings_with({}), existing=existing))
    told = "There already is" if made.kept else "Updated" if made.replaced else "Made"
    tell(f"{told} the work pool {made.name}{f': {made.url}' if made.url else ''}")
    if made.defaults:
        tell(f"  kept as before  the defaults of {', '.join(made.defaults)}")
    tell(f"  start a worker  {made.worker_command}")
