"""What a machine, or the container around this process, has for steps, and what it is called."""

import os
from collections.abc import Iterator
from pathlib import Path

from cwl_prefect._lib.namespaces import boot_id, namespace


def machine_resources(
    control_groups: Path = Path("/sys/fs/cgroup"),
    membership: Path = Path("/proc/self/cgroup"),
) -> tuple[float, float]:
    """Return the cores, and the memory in MiB, that machine and control groups let this process use."""
    import psutil

    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else psutil.cpu_count() or 1
    directories = list(_group_directories(control_groups, membership))
    cores = [limit for directory in directories for limit in _core_limits(directory)]
    memory = [limit for directory in directories for limit in _memory_limits(directory)]
    total = psutil.virtual_memory().total
    return min([float(allowed), *cores]), min([total, *memory]) / 2**20


def _group_directories(control_groups: Path, membership: Path) -> Iterator[Path]:
    """Yield this process's control groups (version 2, then 1) with all above them, since each one limits."""
    for line in _text(membership).splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            mounted = control_groups / controller
            directory = mounted / path.lstrip("/")
            while directory.is_relative_to(mounted):
                yield directory
                directory = directory.parent


def _core_limits(directory: Path) -> Iterator[float]:
    words = _text(directory / "cpu.max").split()
    if not words:
        words = [_text(directory / "cpu.cfs_quota_us").strip(), _text(directory / "cpu.cfs_period_us").strip()]
    if len(words) == 2 and words[0].isdigit() and words[1].isdigit() and int(words[0]) and int(words[1]):
        yield int(words[0]) / int(words[1])


def _memory_limits(directory: Path) -> Iterator[int]:
    for name in ("memory.max", "memory.limit_in_bytes"):
        word = _text(directory / name).strip()
        if word.isdigit() and int(word):
            yield int(word)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def machine_name(cores: float, ram_mib: float) -> str:
    """Return the same name to all processes that share what :func:`machine_resources` gives them, and to no others.

    Containers without limits of their own use the machine as processes outside of them do.

    Args:
        cores: What :func:`machine_resources` gives.
        ram_mib: Likewise.
    """
    import psutil

    whole = (float(psutil.cpu_count() or 1), psutil.virtual_memory().total / 2**20)
    within = "" if (cores, ram_mib) == whole else "-" + "".join(filter(str.isdigit, namespace("cgroup")))
    return f"{boot_id() or 'unknown'}-{cores:g}-{ram_mib:.0f}{within}"
