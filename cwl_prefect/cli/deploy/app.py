"""The commands ``deploy`` and ``serve``."""

from pathlib import Path
from typing import Annotated

import typer

from cwl_prefect.cli.deploy.options import DeployOptions
from cwl_prefect.cli.signature import taking

_OF_POOLS = ("pool", "image", "job_variable", "collision_strategy", "queue", "priority", "move", "reset")


def add_deploy(app: typer.Typer) -> None:
    """Add the commands to an application."""
    app.command()(deploy)
    app.command()(serve)


@taking(DeployOptions)
def deploy(
    ctx: typer.Context,
    *,
    from_file: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="Make all deployments that a YAML file declares.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --from: only say what would change.")] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="With --from: remove what the file declared earlier, and does not now.")
    ] = False,
    **_given: object,
) -> None:
    """Deploy a workflow: the Prefect UI gets a form for its inputs, and workers of the pool run it.

    What is not given here stays as a deployment of the same name has it.
    """
    from cwl_prefect.cli.deploy import commands as deploying

    given = DeployOptions.of(ctx.params)
    if from_file is not None:
        deploying.deploy_file(from_file, given, dry_run=dry_run, prune=prune)
    else:
        deploying.deploy_document(given, dry_run=dry_run, prune=prune)


@taking(DeployOptions, but=("document", "name", *_OF_POOLS))
def serve(
    ctx: typer.Context,
    document: Annotated[  # noqa: ARG001 - the context holds it, and the name
        str, typer.Argument(metavar="DOCUMENT", help="A CWL document: a path or URL, with #id for a part of it.")
    ],
    *,
    name: Annotated[  # noqa: ARG001
        str, typer.Option("--name", "-n", help="Name beside other deployments of this workflow.")
    ] = "served",
    **_given: object,
) -> None:
    """Serve a workflow from this process, without a work pool, until Ctrl-C: for development."""
    from cwl_prefect.cli.deploy import commands as deploying

    deploying.serve_document(DeployOptions.of(ctx.params))
