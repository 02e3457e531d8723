"""What a container used, as the kernel counted it, beside what its tool measured of itself."""

from pathlib import Path

import pytest

from cwl_prefect.backends.base import execute
from cwl_prefect.backends.docker.backend import DockerBackend
from tests.holding import held

pytestmark = pytest.mark.docker


TRIES = 5  # on a busy machine the engine may have removed what was counted before it is read; then nothing is known


async def test_memory_and_time_on_cores_are_measured_within_a_tenth(tmp_path: Path) -> None:
    backend = DockerBackend()
    try:
        for number in range(TRIES):
            job = held(tmp_path, number)
            outcome = await execute(backend, job)
            if outcome.usage.cpu_s is not None:
                break
    finally:
        await backend.close()
    assert outcome.usage.cpu_s == pytest.approx(float(job.stdout.read_text()), rel=0.1)
    assert outcome.usage.peak_memory_mib == pytest.approx(300, rel=0.1)
    assert outcome.image_digest is not None
    assert outcome.container is not None
