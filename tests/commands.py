"""The project's commands as a user calls them, in a home of their own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

BIN = Path(sys.executable).parent
PROJECT = Path(__file__).parents[1]


def command_environment(directory: Path) -> Iterator[dict[str, str]]:
    """Return an environment whose home is `directory` and whose server nobody else uses; stop the server afterwards."""
    foreign = ("PREFECT_", "CWL_PREFECT_")
    chosen = {name: value for name, value in os.environ.items() if not name.startswith(foreign)} | {
        "HOME": str(directory),
        "CWL_PREFECT_HOME": str(directory / "cwl-prefect"),
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "200",
        "CWL_PREFECT_STANDBY_IDLE_S": "0",  # tests/standby has it
        # Prefect gives its own temporary server 20 s, in which one does not start on a busy machine.
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    }
    yield chosen
    subprocess.run([BIN / "cwl-prefect", "server", "stop", "--force"], env=chosen, check=False, capture_output=True)
