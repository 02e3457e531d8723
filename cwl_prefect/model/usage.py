"""What a try of a call asked for and used; None always means that it cannot be known."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a job used, as it was measured.

    Attributes:
        cpu_s: Seconds of all its processes together on a core.
        peak_memory_mib: The most memory: of a process of this machine, of its largest process; of a container, of all
            that it held together, with files that the kernel kept in memory for it.
        read_bytes: Read from disks.
        written_bytes: Written to disks.
    """

    cpu_s: float | None = None
    peak_memory_mib: float | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """When, where and how a command ran; moments are seconds since 1970.

    Attributes:
        started_at: When the command started.
        ended_at: When the command ended.
        collected_at: When its outputs were collected, or it was known that it failed.
        exit_code: Of the command.
        reason: Why it ended.
        image: Name of the image.
        image_digest: Digest of what ran.
        node: The machine that ran it.
        container: Process, container or pod.
    """

    started_at: float | None = None
    ended_at: float | None = None
    collected_at: float | None = None
    exit_code: int | None = None
    reason: str | None = None
    image: str | None = None
    image_digest: str | None = None
    node: str | None = None
    container: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried(Execution):
    """One try of a call.

    Attributes:
        number: Which try it was, counted from 1.
        backend: What ran it.
        cores: How many were asked for.
        ram_mib: How much memory was asked for.
        prepared_at: When it began to be prepared, and to wait for what it asks for.
        ready_at: When it had all that it asks for.
        usage: What it used.
    """

    number: int
    backend: str
    cores: float
    ram_mib: float
    prepared_at: float
    ready_at: float
    usage: Usage = field(default_factory=Usage)
