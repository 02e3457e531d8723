"""The project's commands as a user calls them, in a home of their own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

BIN = Path(sys.executable).parent
PROJECT = Path(__file__).parents[1]


# With it, coverage looks at other processes too, which makes commands and servers take twice the processor's time.
COVERAGE_OF_PROCESSES = "COVERAGE_PROCESS_CONFIG"


def command_environment(directory: Path, *, covered: bool = False) -> Iterator[dict[str, str]]:
    """Give an environment whose home and server are used by nobody else; the server is stopped afterwards.

    Args:
        directory: The home directory.
        covered: Whether what the commands reach counts for the coverage of all tests.
    """
    foreign = ("PREFECT_", "CWL_PREFECT_") if covered else ("PREFECT_", "CWL_PREFECT_", COVERAGE_OF_PROCESSES)
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
