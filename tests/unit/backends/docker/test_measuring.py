import shutil
import subprocess
import sys

import pytest

from cwl_prefect.backends.docker.measuring import Measuring
from cwl_prefect.model.usage import Usage
from tests.waiting import eventually

MIB = 1 << 20


@pytest.fixture
def process():
    found = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield found
    found.kill()
    found.wait()


@pytest.fixture
def measuring(tmp_path):
    found = Measuring(tmp_path)
    yield found
    found.close()


def group(root, number: int) -> None:
    directory = root / "docker" / "c1"
    directory.mkdir(parents=True)
    (root / "cgroup.controllers").write_text("cpu memory\n")
    (directory / "cpu.stat").write_text("usage_usec 10\n")
    (directory / "memory.peak").write_text(f"{MIB}\n")
    (directory / "cgroup.procs").write_text(f"{number}\n")


async def test_what_a_container_used_is_read_when_its_process_ends(tmp_path, process, measuring):
    measuring.follow("c1")
    group(tmp_path, process.pid)  # the engine makes it after it was asked to start
    followed = measuring._containers["c1"]
    await eventually(lambda: followed.descriptor is not None)
    (tmp_path / "docker/c1/cpu.stat").write_text("usage_usec 2000000\n")
    (tmp_path / "docker/c1/memory.peak").write_text(f"{300 * MIB}\n")
    process.kill()
    await eventually(lambda: followed.usage != Usage())
    assert measuring.usage("c1") == Usage(cpu_s=2.0, peak_memory_mib=300.0)
    assert measuring.usage("c1") == Usage()


async def test_nothing_is_known_of_a_container_whose_end_was_missed(tmp_path, process, measuring):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as starter:
        measuring.follow("c1")
        group(tmp_path, starter.pid)
        followed = measuring._containers["c1"]
        await eventually(lambda: followed.descriptor is not None)
        processes = tmp_path / "docker/c1/cgroup.procs"
        processes.write_text("")
        starter.kill()
        await eventually(lambda: followed.usage != Usage())
    processes.write_text(f"{process.pid}\n")
    await eventually(lambda: followed.descriptor is not None)
    shutil.rmtree(tmp_path / "docker/c1")  # before the end was seen, on a busy machine
    process.kill()
    await eventually(lambda: followed.descriptor is None)
    assert measuring.usage("c1") == Usage()


async def test_nothing_is_known_of_a_container_without_a_group(measuring):
    measuring.follow("c2")
    assert measuring.usage("c2") == Usage()
