"""The command ``pool create``."""

import asyncio
from typing import Annotated

import typer

from cwl_prefect.cli.failures import settings_with
from cwl_prefect.cli.terminal import tell
from cwl_prefect.deployments.pools import Existing, PoolType, create_pool
from cwl_prefect.errors import UsageError

app = typer.Typer()


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the work pool.")],
    type: Annotated[PoolType, typer.Option("--type", "-t", help="Where its workers start flow runs.")],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Give a pool that exists the packaged job template.")
    ] = False,
    update: Annotated[
        bool, typer.Option("--update", help="The same, but keep the defaults that were changed in it.")
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave a pool that exists as it is.")] = False,
) -> None:
    """Make a work pool with a job template that suits workflows."""
    chosen = [each for each, is_chosen in zip(Existing, (overwrite, update, keep), strict=False) if is_chosen]
    if len(chosen) > 1:
        raise UsageError(
            "A pool that exists is either overwritten, updated or kept.", hint="give --overwrite, --update or --keep."
        )
    existing = chosen[0] if chosen else Existing.REFUSE
    made = asyncio.run(create_pool(name, type, settings_with({}), existing=existing))
    told = "There already is" if made.kept else "Updated" if made.replaced else "Made"
    tell(f"{told} the work pool {made.name}{f': {made.url}' if made.url else ''}")
    if made.defaults:
        tell(f"  kept as before  the defaults of {', '.join(made.defaults)}")
    tell(f"  start a worker  {made.worker_command}")
