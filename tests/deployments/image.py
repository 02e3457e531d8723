"""The image of cwl-prefect, built from this checkout."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.commands import PROJECT

NAME = "cwl-prefect:test"
# A dependency asks for it on Pythons before 3.11.3, and the base image's own may be older than this one.
FOR_OLDER_PYTHONS = "async-timeout"


def build(context: Path) -> str:
    """Build the image from wheels that are made here, without any network, and give its name.

    A developer saves time by CWL_PREFECT_TEST_IMAGE, which names one that is there.
    """
    if given := os.environ.get("CWL_PREFECT_TEST_IMAGE"):
        return given
    shutil.copy(PROJECT / "deployments/docker/Dockerfile", context)
    wheels = (sys.executable, "-m", "pip", "wheel", "--quiet", "--wheel-dir", str(context / "build/wheels"))
    _run(*wheels, f"{PROJECT}[docker,kubernetes]", "pip", FOR_OLDER_PYTHONS)
    _run("docker", "build", "--quiet", "--network", "none", "--tag", NAME, str(context))
    return NAME


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
