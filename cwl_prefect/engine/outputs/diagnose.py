"""Why a call failed, told to the person who has to fix it."""

import re
import shlex
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cwl_prefect.engine.outputs.tail import LONGEST_LINE, last_lines, one_line, shortened
from cwl_prefect.model.job import PASSING_REASONS, ContainerJob, JobOutcome, Reason

LEAST_FREE_BYTES = 64 * 1024

_LONGEST_COMMAND = 2_000

_MEANINGS = {
    126: "the command was found but could not be executed",
    127: "command not found",
    128 + signal.SIGKILL: "killed by SIGKILL, most likely because it ran out of memory",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLimits:
    """Which limits of a failed call came from the run's settings, so that these are what to change."""

    time: bool = False  # step_timeout_s, as the tool has no limit of its own
    memory: bool = False  # memory_most_mib, at which further tries cannot have more
    together: bool = True  # max_ram_mib, as the calls of the run share the memory of one machine


_NO_LIMITS = RunLimits()


def describe(job: ContainerJob, workspace: Path | None) -> list[str]:
    """Return in a line each what a call ran, and where its files are; None where they are not kept."""
    lines = [
        f"command:   {_command_line(job.command)}",
        f"image:     {job.image.name if job.image is not None else 'none (a process on this machine)'}",
    ]
    return lines if workspace is None else [*lines, f"workspace: {workspace}"]


def explain(
    outcome: JobOutcome,
    job: ContainerJob,
    *,
    tail_lines: int,
    workspace: Path,
    taken: Sequence[str] = (),
    limits: RunLimits = _NO_LIMITS,
) -> tuple[str, str | None]:
    """Describe what a failed call was, how it ended, what it said last and where its files are; and what may help.

    Args:
        outcome: How it ended.
        job: What was run.
        tail_lines: How many of the last lines of its stderr, or of its stdout where that is empty, are shown.
        workspace: Where its files are.
        taken: Lines that say what it took.
        limits: What the run's settings limited.

    Returns:
        A message of several lines, and a hint or None where nothing is known.
    """
    tail = last_lines(job.stderr, tail_lines)
    lines = [
        f"{job.name} failed: {_ending(outcome, job)}",
        *(f"  {line}" for line in (*taken, *describe(job, workspace))),
    ]
    if outcome.message:
        lines.append(f"  engine:    {one_line(shortened(outcome.message.strip(), LONGEST_LINE))}")
    full = is_full(workspace)
    if full:
        lines.append("  disk:      no space is left where the workspace is")
    lines.extend(_told(job, tail, tail_lines))
    said = "\n".join([*last_lines(job.stderr, max(tail_lines, 20)), outcome.message or ""])
    return "\n".join(lines), _hint(_Evidence(outcome=outcome, job=job, said=said, full=full, limits=limits))


def _told(job: ContainerJob, stderr: list[str], tail_lines: int) -> Iterator[str]:
    """Yield what a tool said last: on stderr, or on stdout where that is empty."""
    if not tail_lines:
        return
    if not stderr:
        yield "  stderr:    empty"
    stdout = [] if stderr else last_lines(job.stdout, tail_lines)
    stream, path, tail = ("stdout", job.stdout, stdout) if stdout else ("stderr", job.stderr, stderr)
    if tail:
        yield f"  last lines of {stream} ({path}):"
    yield from (f"    {line}" for line in tail)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Evidence:
    outcome: JobOutcome
    job: ContainerJob
    said: str
    full: bool = False
    limits: RunLimits = _NO_LIMITS

    def says(self, pattern: str) -> bool:
        """Check whether something in stderr or in the backend's message matches a pattern."""
        return re.search(pattern, self.said, re.IGNORECASE) is not None

    @property
    def program(self) -> str:
        """The command's first word."""
        return shortened(self.job.command[0] if self.job.command else "the command", 200)

    @property
    def place(self) -> str:
        """Where the command was looked for."""
        return f"the image {self.job.image.name}" if self.job.image is not None else "this machine's PATH"

    @property
    def killed(self) -> bool:
        """Whether it was killed by SIGKILL, directly or below a shell, which gives 137."""
        by_signal = self.outcome.signal == signal.SIGKILL and self.outcome.reason is Reason.SIGNALED
        return by_signal or self.outcome.exit_code == 128 + signal.SIGKILL


def _ending(outcome: JobOutcome, job: ContainerJob) -> str:
    limit = "" if job.timeout_s is None else f" of {job.timeout_s:g} s"
    endings = {
        Reason.EXITED: _exit(outcome.exit_code),
        Reason.SIGNALED: f"it was killed by {_signal_name(outcome.signal)}",
        Reason.OUT_OF_MEMORY: f"it used more than its memory limit of {job.resources.ram_mib:g} MiB and was killed",
        Reason.TIMED_OUT: f"it ran longer than its time limit{limit} and was killed",
        Reason.NOT_FOUND: f"its command was not found (exit code {outcome.exit_code or 127})",
        Reason.NOT_EXECUTABLE: f"its command cannot be executed (exit code {outcome.exit_code or 126})",
        Reason.START_FAILED: "it could not be started",
        Reason.EVICTED: "it was evicted from the machine it ran on",
        Reason.PREEMPTED: "it had to make room for something of higher priority",
        Reason.NODE_LOST: "the machine it ran on went away",
        Reason.LOST: "it disappeared, so that nobody knows how it ended",
        Reason.UNSCHEDULABLE: "no machine of the cluster had room for it in time",
        Reason.QUOTA: "the namespace's quota had no room for it in time",
        Reason.NO_IMAGE: "the machine that was to run it cannot pull its image",
        Reason.NO_CONTAINER: "its container cannot be made",
    }
    return endings[outcome.reason]


def _exit(exit_code: int | None) -> str:
    if exit_code is None:
        return "it ended without an exit code"
    meaning = _MEANINGS.get(exit_code)
    if meaning is None and 128 < exit_code <= 128 + signal.SIGRTMAX:
        meaning = f"128 + {exit_code - 128}, so most likely killed by {_signal_name(exit_code - 128)}"
    return f"it exited with code {exit_code}" + (f" ({meaning})" if meaning else "")


def _signal_name(number: int | None) -> str:
    if number is None:
        return "a signal"
    try:
        return f"{signal.Signals(number).name} (signal {number})"
    except ValueError:
        return f"signal {number}"


def _hint(evidence: _Evidence) -> str | None:
    if evidence.outcome.hint is not None:
        return evidence.outcome.hint
    if evidence.outcome.reason in _BY_REASON:
        return _BY_REASON[evidence.outcome.reason]
    for holds, advise in _ADVICE:
        if holds(evidence):
            return advise(evidence)
    return None


def _out_of_memory(evidence: _Evidence) -> bool:
    if evidence.outcome.reason is Reason.OUT_OF_MEMORY or evidence.says(_MEMORY_WORDS):
        return True
    return evidence.killed and not evidence.outcome.memory_sufficed


def _stopped(evidence: _Evidence) -> bool:
    return evidence.killed and evidence.outcome.memory_sufficed


def _time_limit(evidence: _Evidence) -> str:
    if evidence.limits.time:
        return "the time limit of steps, --step-timeout or CWL_PREFECT_STEP_TIMEOUT_S"
    return "the tool's ToolTimeLimit"


def _memory_limit(evidence: _Evidence) -> str:
    ram_mib = f"{evidence.job.resources.ram_mib:g} MiB"
    if evidence.limits.memory:
        return f"CWL_PREFECT_MEMORY_MOST_MIB, to which its memory had grown in further tries ({ram_mib})"
    return f"ramMin of the tool's ResourceRequirement, which is {ram_mib} now"


_MEMORY_WORDS = r"out of memory|cannot allocate memory|std::bad_alloc|\bMemoryError\b|java\.lang\.OutOfMemoryError"
_IMAGE_WORDS = r"no such image|pull access denied|manifest (for .* )?(unknown|not found)|repository does not exist"
_NETWORK_WORDS = (
    r"temporary failure in name resolution|could not resolve host|name or service not known|network is unreachable"
    r"|unable to resolve host address|bad address '"
)
_NOT_FOUND_WORDS = r"command not found|executable file not found|: not found$|: not found\n"

_BY_REASON: Mapping[Reason, str] = {
    **dict.fromkeys(
        PASSING_REASONS,
        "run again; if it happens again, ask for what it needs by ResourceRequirement (ramMin, tmpdirMin)",
    ),
    Reason.PREEMPTED: (
        "run again, or give steps a priority that nothing else takes the place of: a priorityClassName in the "
        "pod of the work pool's job template"
    ),
    Reason.NODE_LOST: (
        "run again; CWL_PREFECT_INFRASTRUCTURE_RETRIES says how often that is done without being told to"
    ),
    Reason.UNSCHEDULABLE: (
        "ask for less by ResourceRequirement, add a node, or check the work pool's node selector and tolerations; "
        "CWL_PREFECT_KUBERNETES_START_TIMEOUT_S says how long a call waits for a node"
    ),
    Reason.QUOTA: (
        "ask for a larger quota (`kubectl describe quota`), or wait longer for what else uses it: "
        "CWL_PREFECT_KUBERNETES_START_TIMEOUT_S says how long a call waits while no other of the run has a node"
    ),
    Reason.NO_CONTAINER: (
        "check the secrets, config maps, volumes and security context that the work pool's template names"
    ),
}

_ADVICE: tuple[tuple[Callable[[_Evidence], bool], Callable[[_Evidence], str]], ...] = (
    (
        lambda evidence: evidence.outcome.reason is Reason.TIMED_OUT,
        lambda evidence: f"raise {_time_limit(evidence)}, or give it more cores or less data",
    ),
    (
        lambda evidence: evidence.outcome.reason is Reason.NO_IMAGE,
        lambda evidence: (
            f"check the name and tag of {evidence.place} in DockerRequirement, and the work pool's pull secrets"
        ),
    ),
    (
        lambda evidence: evidence.full or evidence.says(r"no space left on device|disk quota exceeded"),
        lambda _: "free disk space, or choose another place for workspaces by --workdir",
    ),
    (
        _out_of_memory,
        lambda evidence: (
            f"raise {_memory_limit(evidence)}"
            + (", or run fewer calls at once by --max-ram" if evidence.limits.together else "")
        ),
    ),
    (
        _stopped,
        lambda _: (
            "the engine saw no want of memory, so that something stopped it: `docker kill` or `docker stop`, the end "
            "of the engine, or the kernel of this machine; `cwl-prefect runs resume` goes on with the run"
        ),
    ),
    (
        lambda evidence: evidence.says(_IMAGE_WORDS),
        lambda evidence: f"check the name and tag in DockerRequirement, and that you may pull {evidence.place}",
    ),
    (
        lambda evidence: evidence.says(r"read-only file system"),
        lambda _: (
            "write only to the output directory ($(runtime.outdir)) or $(runtime.tmpdir); "
            "to change an input, stage it as writable by InitialWorkDirRequirement"
        ),
    ),
    (
        lambda evidence: evidence.says(_NETWORK_WORDS),
        lambda evidence: (
            "check the name and the network"
            if evidence.job.network
            else "tools have no network: add a NetworkAccess requirement with networkAccess: true"
        ),
    ),
    (
        lambda evidence: evidence.outcome.reason is Reason.NOT_FOUND and " " in evidence.program,
        lambda evidence: (
            f"{evidence.program!r} is the name of one program, spaces and all: "
            f"write a list, as in `baseCommand: [{', '.join(evidence.program.split())}]`"
        ),
    ),
    (
        lambda evidence: (
            evidence.outcome.reason is Reason.NOT_FOUND
            or evidence.outcome.exit_code == 127
            or evidence.says(_NOT_FOUND_WORDS)
        ),
        lambda evidence: (
            f"make sure that {evidence.program}, and all that it calls, is installed in {evidence.place}, "
            "and that baseCommand is spelled right"
        ),
    ),
    (
        lambda evidence: evidence.outcome.reason is Reason.NOT_EXECUTABLE or evidence.outcome.exit_code == 126,
        lambda evidence: f"make {evidence.program} executable (chmod +x), and check that it is for this processor",
    ),
    (
        lambda evidence: evidence.says(r"permission denied|operation not permitted"),
        lambda _: (
            "check the permissions of the files named above; "
            "inputs are read-only unless staged as writable by InitialWorkDirRequirement"
        ),
    ),
    (
        lambda evidence: evidence.says(r"no such file or directory|cannot find the file"),
        lambda _: (
            "let the tool take files from its inputs ($(inputs.….path)); it sees nothing else of this machine"
            " in a container, and secondaryFiles have to be declared"
        ),
    ),
)


def is_full(directory: Path) -> bool:
    """Check whether nothing more can be written to a directory's file system; a tool's own words would be lost then."""
    try:
        return shutil.disk_usage(directory).free < LEAST_FREE_BYTES
    except OSError:
        return False


def _command_line(command: tuple[str, ...]) -> str:
    """Quote a command so that it can be pasted into a shell; what is too long is cut before it is quoted."""
    words: list[str] = []
    length = 0
    for word in command:
        words.append(shlex.quote(shortened(word, _LONGEST_COMMAND)))
        length += len(words[-1]) + 1
        if length > _LONGEST_COMMAND and len(words) < len(command):
            words.append(f"… ({len(command) - len(words)} more arguments)")
            break
    return one_line(" ".join(words))
