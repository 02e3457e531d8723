"""The commands ``cwl-prefect workspace`` and their arguments; what does the work is imported when it is needed."""

from typing import Annotated

import typer

workspace_app = typer.Typer(help="Workspaces that runs left on this machine.", no_args_is_help=True)


@workspace_app.command("ls")
def list_workspaces(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the runs whose workspaces are kept, and when they are removed."""
    from cwl_prefect.cli.runs import workspace

    workspace.list_workspaces(as_json=json)


@workspace_app.command()
def du() -> None:
    """Print what kept workspaces take on the disk."""
    from cwl_prefect.cli.runs import workspace

    workspace.disk_usage()


@workspace_app.command()
def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Only tell what would be done.")] = False,
    deploy: Annotated[
        str | None, typer.Option(metavar="POOL", help="Make a deployment that does it by a schedule, on this pool.")
    ] = None,
    cron: Annotated[str, typer.Option(metavar="CRON", help="With --deploy: when.")] = "17 3 * * *",
    image: Annotated[
        str | None, typer.Option(help="With --deploy: image of its runs on Docker and Kubernetes pools.")
    ] = None,
    job_variable: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="With --deploy: job variable over the pool's, as JSON; repeatable."),
    ] = None,
) -> None:
    """Mark what is out of date, and remove what was marked long enough ago; remove leftovers of killed runs."""
    from cwl_prefect.cli.runs import workspace

    if deploy is not None:
        workspace.deploy(deploy, cron, job_variable or (), image)
    else:
        workspace.collect(dry_run=dry_run)


@workspace_app.command()
def restore(run: Annotated[str, typer.Argument(metavar="RUN", help="A run: its name or its flow run id.")]) -> None:
    """Take the mark from a run that is to be removed."""
    from cwl_prefect.cli.runs import workspace

    workspace.restore(run)
