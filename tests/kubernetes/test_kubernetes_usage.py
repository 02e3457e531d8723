"""What a pod used, as its launcher read it, beside what its tool measured of itself."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cwl_prefect.backends.base import execute
from cwl_prefect.backends.kubernetes.backend import KubernetesBackend
from cwl_prefect.model.job import Resources
from tests.holding import held

pytestmark = pytest.mark.kubernetes


async def test_memory_and_time_on_cores_are_measured_within_a_tenth(
    other_backend: Callable[..., KubernetesBackend], tmp_path: Path
) -> None:
    job = replace(held(tmp_path), resources=Resources(cores=0.01, ram_mib=512, tmpdir_mib=1))
    outcome = await execute(other_backend(), job)
    assert outcome.exit_code == 0
    assert outcome.usage.cpu_s == pytest.approx(float(job.stdout.read_text()), rel=0.1)
    assert outcome.usage.peak_memory_mib == pytest.approx(300, rel=0.1)
    assert outcome.image_digest is not None
    assert outcome.container is not None
    assert outcome.node is not None
