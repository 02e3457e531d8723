from pathlib import Path

import pytest

from cwl_prefect.backends.cgroups import ControlGroup
from cwl_prefect.model.usage import Usage

MIB = 1 << 20


def put(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


VERSION_1 = {
    "cpuacct/docker/c/cpuacct.usage": "2500000000\n",
    "memory/docker/c/memory.max_usage_in_bytes": f"{300 * MIB}\n",
    "memory/docker/c/cgroup.procs": "12\n13\n",
    "blkio/docker/c/blkio.throttle.io_service_bytes_recursive": (
        "254:0 Read 4096\n254:0 Write 8192\n254:16 Read 1000\n254:16 Write 1\nTotal 13289\n"
    ),
}
VERSION_2 = {
    "cgroup.controllers": "cpu io memory\n",
    "docker/c/cpu.stat": "usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\n",
    "docker/c/memory.peak": f"{300 * MIB}\n",
    "docker/c/io.stat": "254:0 rbytes=4096 wbytes=8192 rios=1 wios=2\n254:16 rbytes=1000 wbytes=1 rios=1 wios=1\n",
    "docker/c/cgroup.procs": "12\n13\n",
}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param(
            VERSION_1,
            Usage(cpu_s=2.5, peak_memory_mib=300, read_bytes=5096, written_bytes=None),
            id="version-1-which-does-not-know-who-wrote",
        ),
        pytest.param(
            VERSION_2, Usage(cpu_s=2.5, peak_memory_mib=300, read_bytes=5096, written_bytes=8193), id="version-2"
        ),
        pytest.param(
            {name: text for name, text in VERSION_2.items() if "memory.peak" not in name and "io.stat" not in name},
            Usage(cpu_s=2.5),
            id="version-2-of-an-old-kernel",
        ),
        pytest.param({"docker/d/cpu.stat": "usage_usec 1\n"}, Usage(), id="a-group-that-is-gone"),
    ],
)
def test_what_was_counted_is_read_and_what_is_not_known_is_nothing(tmp_path, files, expected):
    put(tmp_path, files)
    assert ControlGroup(below="docker/c", root=tmp_path).usage() == expected


@pytest.mark.parametrize("files", [pytest.param(VERSION_1, id="version-1"), pytest.param(VERSION_2, id="version-2")])
def test_its_processes_are_known(tmp_path, files):
    put(tmp_path, files)
    group = ControlGroup(below="docker/c", root=tmp_path)
    assert group.exists
    assert group.processes == (12, 13)


def test_a_group_of_an_engine_elsewhere_has_no_processes(tmp_path):
    put(tmp_path, {"cgroup.controllers": "", "docker/c/cgroup.procs": "0\n"})
    assert ControlGroup(below="docker/c", root=tmp_path).processes == ()
    assert not ControlGroup(below="docker/d", root=tmp_path).exists
