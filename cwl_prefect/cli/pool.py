"""The command ``pool``."""

import asyncio

import typer

from cwl_prefect.cli.failures import settings_with
from cwl_prefect.deploy.pools import PoolType, create_pool


def create(name: str, pool_type: str, *, overwrite: bool) -> None:
    """Make a work pool and say how to start a worker for it.

    Raises:
        UsageError: There is a pool of this name.
        ServerError: No Prefect API can be reached or started.
    """
    made = asyncio.run(create_pool(name, PoolType(pool_type), settings_with({}), overwrite=overwrite))
    typer.echo(f"Made the work pool {made.name}{f': {made.url}' if made.url else ''}")
    typer.echo(f"  start a worker  {made.worker_command}")
