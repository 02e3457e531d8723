"""The project's commands as a user calls them, in a home of their own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from cwl_prefect.server.standby.place import IDLE_VARIABLE

BIN = Path(sys.executable).parent
PROJECT = Path(__file__).parents[1]


def command_environment(directory: Path, *, standby_s: int = 0) -> Iterator[dict[str, str]]:
    """Return an environment whose home is `directory` and whose server nobody else uses; stop the server afterwards.

    Args:
        directory: The home directory.
        standby_s: How long a process that stands by for the next command waits for one; 0 for none.
    """
    foreign = ("PREFECT_", "CWL_PREFECT_")
    chosen = {name: value for name, value in os.environ.items() if not name.startswith(foreign)} | {
        "HOME": str(directory),
        "CWL_PREFECT_HOME": str(directory / "cwl-prefect"),
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "200",
        IDLE_VARIABLE: str(standby_s),
        # Prefect gives its own temporary server 20 s, in which one does not start on a busy machine.
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    }
    yield chosen
    subprocess.run([BIN / "cwl-prefect", "server", "stop", "--force"], env=chosen, check=False, capture_output=True)
