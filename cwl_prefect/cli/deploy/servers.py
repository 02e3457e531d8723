"""The commands ``server``."""

import asyncio
import shlex
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from cwl_prefect.cli.failures import settings_with
from cwl_prefect.cli.terminal import tell
from cwl_prefect.environment import environment
from cwl_prefect.errors import ServerError
from cwl_prefect.server import local_server
from cwl_prefect.server.standby import records

POLL_INTERVAL_S = 0.3

app = typer.Typer()


@app.command()
def start() -> None:
    """Start the local server, where it is not running."""
    endpoint = asyncio.run(local_server.start(settings_with({})))
    tell(f"{'Started' if endpoint.started else 'Running already'}: {_shown(endpoint.ui_url or endpoint.url)}")


@app.command()
def env() -> None:
    """Print variables that let Prefect's commands use the local server: eval "$(cwl-prefect server env)"."""
    endpoint = asyncio.run(local_server.start(settings_with({})))
    tell(f"export PREFECT_API_URL={shlex.quote(endpoint.url)}")
    if endpoint.auth is not None:
        tell(f"export PREFECT_API_AUTH_STRING={shlex.quote(endpoint.auth)}")


@app.command()
def url() -> None:
    """Print the address that opens the UI logged in, and nothing else. It holds the server's secret."""
    tell(asyncio.run(local_server.open_url(settings_with({}))))


def _shown(address: str) -> str:
    """Return the address of the UI, which opens it logged in where only a person at a terminal sees it."""
    return local_server.open_address(settings_with({}), address) if sys.stdout.isatty() else address


@app.command()
def stop(
    force: Annotated[bool, typer.Option("--force", help="Stop it although a run is using it.")] = False,
) -> None:
    """Stop the local server."""
    settings = settings_with({})
    records.end(settings.home.absolute(), environment())
    stopped = asyncio.run(local_server.stop(settings, force=force))
    tell("Stopped." if stopped else "No local server is running.")


@app.command()
def status() -> None:
    """Print which Prefect API runs use, and how the local server is."""
    settings = settings_with({})
    configured = local_server.configured_api()
    if configured is not None:
        tell(f"Runs use the configured Prefect API {configured}.")
    found = asyncio.run(local_server.status(settings))
    if found.out_of_reach is not None:
        tell(f"{found.out_of_reach}.")
    if found.state is None:
        tell("The local server is starting." if found.running else "No local server is running.")
    else:
        since = datetime.fromtimestamp(found.state.started_at).astimezone()
        how = "healthy" if found.healthy else "not answering"
        tell(f"The local server is {how}: {_shown(found.state.ui_url)}")
        tell(f"  process  {found.state.pid}, since {since:%Y-%m-%d %H:%M:%S}, Prefect {found.state.prefect_version}")
        tell(f"  in use   {'by a run' if found.in_use else 'no'}")
        ends = f"after {found.state.idle_s:g} s without a run" if found.state.idle_s else "never by itself"
        tell(f"  ends     {ends}")
    for pid in records.standing(settings.home.absolute(), environment()):
        tell(f"  standby  process {pid} waits for the next command")
    tell(f"  log      {found.log}")
    tell(f"  database {found.database}")


@app.command()
def logs(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on printing what is added.")] = False,
) -> None:
    """Print the log of the local server."""
    path = local_server.logs_path(settings_with({}))
    if not path.exists() and not follow:
        raise ServerError(
            "There is no log: the local server has not run yet.", hint="start it: `cwl-prefect server start`."
        )
    try:
        for text in _additions(path, follow=follow):
            sys.stdout.write(text)
            sys.stdout.flush()
    except KeyboardInterrupt:
        return


def _additions(path: Path, *, follow: bool) -> Iterator[str]:
    """Yield the file's text and what is added; a new server begins a new file."""
    position, identity = 0, None
    while True:
        if path.exists():
            with path.open(errors="replace") as file:
                found = path.stat().st_ino
                file.seek(position if found == identity else 0)
                text = file.read()
                position, identity = file.tell(), found
            if text:
                yield text
        if not follow:
            return
        time.sleep(POLL_INTERVAL_S)
