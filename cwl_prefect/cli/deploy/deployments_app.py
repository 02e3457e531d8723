"""The commands below ``deployments``; what does the work is imported when it is needed."""

from typing import Annotated

import typer

deployments_app = typer.Typer(help="Deployments of workflows: look at them, renew them.", no_args_is_help=True)


@deployments_app.command("ls")
def deployments_ls(as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False) -> None:
    """List what was deployed, by which version, and when and where it runs."""
    from cwl_prefect.cli.deploy import deployments

    deployments.list_deployments(as_json=as_json)


@deployments_app.command("upgrade")
def deployments_upgrade(
    name: Annotated[str | None, typer.Argument(metavar="FLOW/NAME", help="The deployment.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Renew all that another version made.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Only tell what would be done.")] = False,
) -> None:
    """Write a deployment as this version does, from what it carries: without its document, and with all its options."""
    from cwl_prefect.cli.deploy import deployments

    deployments.upgrade(name, everything=everything, dry_run=dry_run)
