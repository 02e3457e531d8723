"""What a process of this machine used, with all its children, as the kernel counted it until it was reaped."""

import resource
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from cwl_prefect.model.usage import Usage

_KIB_PER_MIB = 1024


def transferred(process: int) -> Mapping[str, int]:
    """Return what a process that ended and was not reaped read and wrote; nothing where the kernel does not say."""
    with suppress(OSError, ValueError), open(f"/proc/{process}/io", "rb", buffering=0) as counts:  # noqa: PTH123 - quick
        lines = counts.read().decode("ascii").splitlines()
        return {name: int(number) for name, _, number in (line.partition(":") for line in lines)}
    return {}


class OwnPeak:
    """The most memory that this process has held, which those that it starts inherit until they execute their program.

    It only grows, so that it is read again only where it may have reached what somebody else held.
    """

    def __init__(self) -> None:
        self._known_kib = 0

    def is_below(self, kib: int) -> bool:
        """Check whether this process has always held less, in KiB: only such a peak is known to be of another."""
        if kib > self._known_kib:
            self._known_kib = _own_peak_kib()
        return kib > self._known_kib


def _own_peak_kib() -> int:
    """Return the most memory that this process has held since it executed its program.

    What ``getrusage`` gives counts what its starter held before that, too, which is not handed on a second time.
    """
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text("ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def used(counted: resource.struct_rusage, transfers: Mapping[str, int], own_peak: OwnPeak) -> Usage:
    """Return what a process used.

    Args:
        counted: What ``wait4`` gave.
        transfers: What :func:`transferred` gave.
        own_peak: Of this process, which started the other.
    """
    return Usage(
        cpu_s=round(counted.ru_utime + counted.ru_stime, 6),
        peak_memory_mib=counted.ru_maxrss / _KIB_PER_MIB if own_peak.is_below(counted.ru_maxrss) else None,
        read_bytes=transfers.get("read_bytes"),
        written_bytes=transfers.get("write_bytes"),
    )
