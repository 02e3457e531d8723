"""The commands below ``server``; what does the work is imported when it is needed."""

from typing import Annotated

import typer

server_app = typer.Typer(
    help="The local Prefect server that runs use where no Prefect API is configured.", no_args_is_help=True
)


@server_app.command("start")
def server_start() -> None:
    """Start the local server, where it is not running."""
    from cwl_prefect.cli.deploy import servers

    servers.start()


@server_app.command("env")
def server_env() -> None:
    """Print variables that let Prefect's commands use the local server: eval "$(cwl-prefect server env)"."""
    from cwl_prefect.cli.deploy import servers

    servers.env()


@server_app.command("stop")
def server_stop(
    force: Annotated[bool, typer.Option("--force", help="Stop it although a run is using it.")] = False,
) -> None:
    """Stop the local server."""
    from cwl_prefect.cli.deploy import servers

    servers.stop(force=force)


@server_app.command("status")
def server_status() -> None:
    """Print which Prefect API runs use, and how the local server is."""
    from cwl_prefect.cli.deploy import servers

    servers.status()


@server_app.command("logs")
def server_logs(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on printing what is added.")] = False,
) -> None:
    """Print the log of the local server."""
    from cwl_prefect.cli.deploy import servers

    servers.logs(follow=follow)
