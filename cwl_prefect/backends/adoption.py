"""Taking over a container whose driver is gone; everything here blocks and runs in threads.

While a driver lives it reads a container's streams itself. The engine keeps them too, so that another driver can have
every byte: in its ``local`` format, the only one that does not change bytes that are no text. What it keeps is bounded,
since it would otherwise double the disk that a large output takes; a container whose output outgrew that is run again.

Engines may lose the last lines of a log that is followed while its container ends, so that it is read after the end.
"""

import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import cast

from pydantic import JsonValue

from cwl_prefect.backends.containers import Launch, Output, Threads, judged, outcome_of
from cwl_prefect.backends.docker_end import KILLED
from cwl_prefect.backends.docker_engine import DockerEngine
from cwl_prefect.backends.docker_errors import ContainerGoneError
from cwl_prefect.backends.naming import JOB_LABEL, job_labels, resource_name
from cwl_prefect.errors import BackendError
from cwl_prefect.model.job import ContainerJob, JobOutcome, Reason

KEPT_MIB = 64
KEPT_LOG: Mapping[str, JsonValue] = {
    "type": "local",
    "config": {"max-size": f"{KEPT_MIB}m", "max-file": "2", "compress": "false"},
}
"""Log of a container that may be adopted; with two files, one of them is full once anything was dropped."""

NO_LOG: Mapping[str, JsonValue] = {"type": "none"}

_MOST_WHOLE = KEPT_MIB * (1 << 20)  # bytes
_BYTES_PER_PIECE = 128  # more than the engine writes beside each piece

_STOPPED = frozenset({KILLED, 143, 255})
"""Exit codes of containers that end with their engine: by its signals, or lost where it could send none."""


class _Unconnected:
    """Stands for the connection of a driver to a container that it only waits for."""

    def close(self) -> None:
        """Do nothing."""


def adopt(engine: DockerEngine, threads: Threads, job: ContainerJob) -> Launch | None:
    """Wait for the container that another driver started for a job, and take its output when it has ended.

    It is removed, and None is given, where it cannot be adopted or was stopped from outside while nobody watched it;
    None is also given where there is none.

    Args:
        engine: Where it runs.
        threads: Where it is waited for.
        job: What it was started for.

    Raises:
        BackendError: The engine does not answer.
    """
    found = engine.inspect(resource_name(job.job_id))
    if found is None:
        return None
    identifier = str(found["Id"])
    try:
        adoptable = _is_same(found, job) and not _was_stopped(engine, found) and _is_whole(engine, identifier)
    except ContainerGoneError:
        adoptable = False
    if not adoptable:
        engine.remove(identifier)
        return None
    started_at = _started_at(found)
    # What ended by itself is taken as it ended, however late its new driver comes.
    age_s = (datetime.now(UTC) - started_at).total_seconds() if _state(found).get("Status") == "running" else 0.0
    return Launch(
        job=job,
        reference=identifier,
        ended=threads.submit(lambda: _end(engine, identifier, job, started_at)),
        attachment=_Unconnected(),
        image=str(found.get("Image")),
        started_at=started_at,
        started_s=time.monotonic() - max(0.0, age_s),
    )


def _end(engine: DockerEngine, identifier: str, job: ContainerJob, started_at: datetime) -> JobOutcome:
    try:
        end = engine.end_of(identifier)
        if not _is_whole(engine, identifier):
            message = f"it printed more than the {KEPT_MIB} MiB that the engine keeps, and its first driver was killed"
            return outcome_of(job, started_at, Reason.LOST, message=message)
        _take(engine, identifier, job)
    except ContainerGoneError as exc:
        return outcome_of(job, started_at, Reason.LOST, message=str(exc))
    except OSError as exc:
        raise BackendError(
            f"cannot write the output of {job.name} to {job.stdout.parent}: {exc.strerror}",
            hint="free space, or choose another directory with --workdir",
        ) from exc
    return judged(job, started_at, end)


def _take(engine: DockerEngine, identifier: str, job: ContainerJob) -> None:
    """Write all that a container printed to the files of its job."""
    output = Output.open(job)
    try:
        together = output.stdout == output.stderr
        _copy(engine, identifier, output.stdout, stdout=True, stderr=together)
        if not together:
            _copy(engine, identifier, output.stderr, stdout=False, stderr=True)
    finally:
        output.close()


def _copy(engine: DockerEngine, identifier: str, descriptor: int, *, stdout: bool, stderr: bool) -> None:
    for piece in engine.log(identifier, stdout=stdout, stderr=stderr):
        view = memoryview(piece)
        while view:
            view = view[os.write(descriptor, view) :]


def _is_same(found: Mapping[str, object], job: ContainerJob) -> bool:
    """Tell whether a container was started for this job and never needed its driver."""
    config = cast("Mapping[str, object]", found.get("Config") or {})
    host = cast("Mapping[str, object]", found.get("HostConfig") or {})
    log = cast("Mapping[str, object]", host.get("LogConfig") or {})
    labels = cast("Mapping[str, str]", config.get("Labels") or {})
    state = _state(found)
    return (
        labels.get(JOB_LABEL) == job.job_id
        and all(labels.get(name) == value for name, value in job_labels(job, {}).items())
        and job.stdin is None
        and not config.get("OpenStdin")
        and log.get("Type") == KEPT_LOG["type"]
        and state.get("Status") in ("running", "exited")
        and not str(state.get("StartedAt", "0001")).startswith("0001")
    )


def _was_stopped(engine: DockerEngine, found: Mapping[str, object]) -> bool:
    """Tell whether a container ended unwatched as it does when its machine or its engine stops."""
    state = _state(found)
    if state.get("Status") != "exited" or state.get("ExitCode") not in _STOPPED:
        return False
    return not engine.end_of(str(found["Id"])).out_of_memory


def _is_whole(engine: DockerEngine, identifier: str) -> bool:
    """Tell whether the engine surely keeps the output from its first byte: less than fills one file of its log."""
    total = 0
    for piece in engine.log(identifier, stdout=True, stderr=True):
        total += len(piece) + _BYTES_PER_PIECE
        if total >= _MOST_WHOLE:
            return False
    return True


def _state(found: Mapping[str, object]) -> Mapping[str, object]:
    return cast("Mapping[str, object]", found.get("State") or {})


def _started_at(found: Mapping[str, object]) -> datetime:
    # The engine writes nanoseconds, of which Python reads micro.
    return datetime.fromisoformat(str(_state(found)["StartedAt"]).rstrip("Z").partition(".")[0]).replace(tzinfo=UTC)
