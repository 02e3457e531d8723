"""What the kernel counted for a control group, whether it has groups of version 1 or 2."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cwl_prefect.model.usage import Usage

ROOT = Path("/sys/fs/cgroup")
_MIB = 1 << 20
_MICROSECONDS, _NANOSECONDS = 1e6, 1e9
_VERSION_1 = (
    ("cpuacct", "cpuacct.usage"),
    ("memory", "memory.max_usage_in_bytes"),
    ("blkio", "blkio.throttle.io_service_bytes_recursive"),
)  # what is written is counted there for whoever flushes it
_VERSION_2 = ("cpu.stat", "memory.peak", "io.stat")


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlGroup:
    """A control group; with version 1 each controller has a tree of its own.

    Attributes:
        below: Its path below the root, as `docker/52d6…`.
        root: Where groups are mounted.
    """

    below: str
    root: Path = ROOT

    @property
    def exists(self) -> bool:
        """Whether it is there."""
        return (self.root / "memory" / self.below).is_dir() or (self.root / self.below).is_dir()

    @property
    def processes(self) -> tuple[int, ...]:
        """Its processes; empty where it is gone, or where its processes are seen under no number here."""
        for directory in (self.root / "memory" / self.below, self.root / self.below):
            with suppress(OSError, ValueError):
                found = tuple(int(line) for line in (directory / "cgroup.procs").read_text("ascii").split())
                return tuple(number for number in found if number > 0)
        return ()

    def usage(self) -> Usage:
        """Return what was counted so far; nothing of a group that is gone."""
        if (self.root / "memory" / self.below).is_dir():
            places = {name: self.root / controller / self.below / name for controller, name in _VERSION_1}
        else:
            places = {name: self.root / self.below / name for name in _VERSION_2}
        files: dict[str, str] = {}
        for name, path in places.items():
            with suppress(OSError, ValueError):
                files[name] = path.read_text("ascii")
        return usage_of(files)


def usage_of(files: Mapping[str, str]) -> Usage:
    """Return what files of a control group say, by their names; those that are not there say nothing."""
    cpu_ns, cpu_us = _number(files.get("cpuacct.usage")), _sum(files.get("cpu.stat"), "usage_usec ")
    peak = _number(files.get("memory.max_usage_in_bytes", files.get("memory.peak")))
    read = _sum(files.get("blkio.throttle.io_service_bytes_recursive"), " Read ")
    cpu_s = None if cpu_us is None else cpu_us / _MICROSECONDS
    return Usage(
        cpu_s=cpu_s if cpu_ns is None else cpu_ns / _NANOSECONDS,
        peak_memory_mib=None if peak is None else peak / _MIB,
        read_bytes=_sum(files.get("io.stat"), "rbytes=") if read is None else read,
        written_bytes=_sum(files.get("io.stat"), "wbytes="),
    )


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.strip().isdecimal() else None


def _sum(text: str | None, before: str) -> int | None:
    """Return the sum of the numbers that follow a word in the lines of a file; None where there is no file."""
    if text is None:
        return None
    words = (f" {line}".partition(before)[2].split() for line in text.splitlines())
    return sum(int(found[0]) for found in words if found and found[0].isdecimal())
