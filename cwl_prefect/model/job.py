"""One call of a tool: bound to its inputs, staged into a workspace, run by a backend."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from cwl_prefect.model.usage import Usage
from cwl_prefect.model.values import CwlObject


class EntryKind(StrEnum):
    """How one file or directory reaches a tool."""

    FILE = "File"
    DIRECTORY = "Directory"
    WRITABLE_FILE = "WritableFile"
    WRITABLE_DIRECTORY = "WritableDirectory"
    LITERAL = "CreateFile"
    WRITABLE_LITERAL = "CreateWritableFile"
    EMPTY_DIRECTORY = "EmptyDirectory"


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedEntry:
    """A file or directory that a tool must find at ``target``."""

    kind: EntryKind
    source: str  # absolute path here; for a literal its text; for an empty directory ""
    target: str  # absolute path as the tool sees it


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerImage:
    """DockerRequirement: how to get an image and what to call it (CWL CommandLineTool, §DockerRequirement)."""

    pull: str | None = None
    load: str | None = None
    file: str | None = None  # text of a Dockerfile
    import_: str | None = None
    image_id: str | None = None

    @property
    def name(self) -> str:
        """What people and the engine call it."""
        return self.image_id or self.pull or self.import_ or self.load or "(built from dockerFile)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a call asks for (CWL CommandLineTool, §ResourceRequirement); sizes in mebibytes."""

    cores: float = 1
    ram_mib: float = 256
    tmpdir_mib: float = 1024
    outdir_mib: float = 1024
    gpus: int = 0
    shm_mib: float | None = None  # None: the engine's default


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundCall:
    """A tool call with every expression evaluated, told apart from any live object.

    ``outdir``, ``tmpdir`` and all targets are paths as the tool sees them.
    """

    command: tuple[str, ...]
    env: Mapping[str, str]
    entries: tuple[StagedEntry, ...]  # inputs first, then InitialWorkDirRequirement, in order
    outdir: str
    tmpdir: str
    stdin: str | None  # a target among the entries, or a path below outdir
    stdout: str | None  # relative to outdir
    stderr: str | None
    image: DockerImage | None  # None: runs as a process on this machine
    resources: Resources
    network: bool = False
    timeout_s: float | None = None  # None: no limit
    inplace_update: bool = False
    any_path: bool = False  # InitialWorkDir may write outside outdir (DockerRequirement is required, not hinted)
    success_codes: frozenset[int] = frozenset()
    temporary_fail_codes: frozenset[int] = frozenset()
    permanent_fail_codes: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A file or directory of this machine shown to a container."""

    source: Path
    target: str
    writable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerJob:
    """Everything that a backend needs to run one call."""

    job_id: str  # deterministic: flow run id, step path, index, attempt
    name: str  # for people, as ``align[3]``
    image: DockerImage | None  # None: a process on this machine
    command: tuple[str, ...]
    env: Mapping[str, str]
    mounts: tuple[Mount, ...]
    workdir: str  # as the tool sees it
    stdin: Path | None  # a file of this machine; None: empty
    stdout: Path  # a file of this machine that receives the bytes exactly, as ``stderr`` does: in a writable mount,
    stderr: Path  # or in a directory for nothing else, which a backend may show to the tool
    resources: Resources = field(default_factory=Resources)
    network: bool = False
    user: str | None = None  # None: the backend's own choice, which is the caller's uid and gid
    timeout_s: float | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


class Reason(StrEnum):
    """Why a job ended."""

    EXITED = "Exited"
    SIGNALED = "Signaled"
    OUT_OF_MEMORY = "OOMKilled"
    TIMED_OUT = "TimedOut"
    NOT_FOUND = "CommandNotFound"
    NOT_EXECUTABLE = "CommandNotExecutable"
    START_FAILED = "StartFailed"
    EVICTED = "Evicted"
    PREEMPTED = "Preempted"
    NODE_LOST = "NodeLost"
    LOST = "Lost"
    UNSCHEDULABLE = "Unschedulable"
    QUOTA = "QuotaExceeded"
    NO_IMAGE = "ImagePullBackOff"
    NO_CONTAINER = "CreateContainerConfigError"


PASSING_REASONS = frozenset({Reason.EVICTED, Reason.PREEMPTED, Reason.NODE_LOST, Reason.LOST})
"""Ends that are no fault of the tool: the same call may well run to its end somewhere else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOutcome:
    """How a job ended."""

    job_id: str
    reason: Reason
    exit_code: int | None  # None: it never ran to an end
    started_at: datetime
    finished_at: datetime
    message: str | None = None  # the engine's own words, where there are any
    signal: int | None = None
    memory_sufficed: bool = False  # the engine tells that it was not killed for want of memory
    usage: Usage = field(default_factory=Usage)
    node: str | None = None  # machine of the job, where the backend knows it
    container: str | None = None  # process, container or pod
    image_digest: str | None = None  # of what it ran in
    hint: str | None = None  # what may help, where the backend knows better than the reason tells


class CallStatus(StrEnum):
    """What became of one call of a step."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    CACHED = "cached"


class StepResult:
    """Outputs of one call.

    A plain class on purpose: Prefect tracks task results by identity and walks into dicts, lists, dataclasses and
    models, which draws edges that are not there.
    """

    __slots__ = ("__weakref__", "note", "outputs", "status")

    def __init__(self, *, status: CallStatus, outputs: CwlObject, note: str | None = None) -> None:
        self.status = status
        self.outputs = outputs
        self.note = note  # what people are told of the call beside its name

    @property
    def cached(self) -> bool:
        """Whether the outputs are those of an earlier, identical call."""
        return self.status is CallStatus.CACHED
