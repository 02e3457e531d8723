"""What a process of this machine used, with all its children, as the kernel counted it until it was reaped."""

import resource
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from cwl_prefect.model.usage import Usage

_KIB_PER_MIB = 1024


def transferred(process: int) -> Mapping[str, int]:
    """Return what a process that ended and was not reaped read and wrote; nothing where the kernel does not say."""
    with suppress(OSError, ValueError):
        lines = Path(f"/proc/{process}/io").read_text("ascii").splitlines()
        return {name: int(number) for name, _, number in (line.partition(":") for line in lines)}
    return {}


def own_peak_kib() -> int:
    """Return the most memory that this process has held since it executed its program.

    What ``getrusage`` gives counts what its starter held before that, too, which is not handed on a second time.
    """
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text("ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def used(counted: resource.struct_rusage, transfers: Mapping[str, int], *, own_peak_kib: int) -> Usage:
    """Return what a process used.

    Args:
        counted: What ``wait4`` gave.
        transfers: What :func:`transferred` gave.
        own_peak_kib: Peak of this process when it started the other, which inherits it until it executes its program:
            only a higher peak is known to be its own.
    """
    return Usage(
        cpu_s=round(counted.ru_utime + counted.ru_stime, 6),
        peak_memory_mib=counted.ru_maxrss / _KIB_PER_MIB if counted.ru_maxrss > own_peak_kib else None,
        read_bytes=transfers.get("read_bytes"),
        written_bytes=transfers.get("write_bytes"),
    )
