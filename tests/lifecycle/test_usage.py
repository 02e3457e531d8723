"""What a tool is said to have used, against what it used."""

import json
import subprocess
import sys

import pytest

from tests.commands import PROJECT

MEASURE = """
import asyncio, json, sys
from pathlib import Path
from cwl_prefect.backends.base import execute
from cwl_prefect.backends.local.backend import LocalBackend
from cwl_prefect.model.job import ContainerJob
from tests.holding import HOLDS_300_MIB

directory = Path(sys.argv[1])
job = ContainerJob(
    job_id="hold", name="hold", image=None, command=(sys.executable, "-c", HOLDS_300_MIB), env={}, mounts=(),
    workdir=str(directory), stdin=None, stdout=directory / "out", stderr=directory / "err",
)
usage = asyncio.run(execute(LocalBackend(), job)).usage
print(json.dumps([usage.cpu_s, usage.peak_memory_mib]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells it")
def test_memory_and_time_on_cores_are_measured_within_a_tenth(tmp_path):
    # By a process that has not grown with other tests: less than its own memory is not known of a tool.
    # What the starter of that process holds is another matter.
    held = bytearray(b"x") * (400 << 20)
    done = subprocess.run([sys.executable, "-c", MEASURE, tmp_path], cwd=PROJECT, capture_output=True, check=True)
    del held
    cpu_s, peak_mib = json.loads(done.stdout)
    assert cpu_s == pytest.approx(float((tmp_path / "out").read_text()), rel=0.1)
    assert peak_mib == pytest.approx(300, rel=0.1)
