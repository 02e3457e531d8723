"""The commands below ``pool``; what does the work is imported when it is needed."""

from enum import StrEnum
from typing import Annotated

import typer

pool_app = typer.Typer(help="Work pools of the Prefect server.", no_args_is_help=True)


class PoolTypeChoice(StrEnum):
    """Where the workers of a pool start flow runs."""

    PROCESS = "process"
    DOCKER = "docker"
    KUBERNETES = "kubernetes"


@pool_app.command("create")
def pool_create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the work pool.")],
    type: Annotated[PoolTypeChoice, typer.Option("--type", "-t", help="Where its workers start flow runs.")],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Give a pool that exists the packaged job template.")
    ] = False,
    update: Annotated[
        bool, typer.Option("--update", help="The same, but keep the defaults that were changed in it.")
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave a pool that exists as it is.")] = False,
) -> None:
    """Make a work pool with a job template that suits workflows."""
    from cwl_prefect.cli.deploy import pool

    pool.create(name, type, overwrite=overwrite, update=update, keep=keep)
