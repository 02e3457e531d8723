"""The audit trail: who did what to a run, and when; an append-only file of JSON lines."""

import json
import os
import pwd
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from pathlib import Path

from pydantic import JsonValue, TypeAdapter

from cwl_prefect._lib.own_files import make_private
from cwl_prefect.engine.records.lines import read_lines

AUDIT_FILE = "audit.jsonl"
"""Name of the file, in the directory of all runs and in that of each run."""

EVENTS = "cwl-prefect.run"
"""Beginning of the names of Prefect's events of acts, as ``cwl-prefect.run.cancelled``."""


class Act(StrEnum):
    """What can happen to a run or to what it left."""

    STARTED = "started"
    COMPLETED = "completed"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"
    CRASHED = "crashed"
    INTERRUPTED = "interrupted"
    RESUMED = "resumed"
    REAPED = "reaped"
    DELETED = "deleted"
    WORKSPACE_MARKED = "workspace-marked"
    WORKSPACE_RESTORED = "workspace-restored"
    WORKSPACE_REMOVED = "workspace-removed"
    CACHE_REMOVED = "cache-removed"


@cache
def actor() -> str:
    """Name the user of this process and the machine, as ``ada@login1``."""
    user = os.getuid()
    try:
        name = pwd.getpwuid(user).pw_name
    except KeyError:
        name = str(user)
    return f"{name}@{socket.gethostname()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One act."""

    act: Act
    run_id: str | None = None  # None: it concerns no single run
    who: str = field(default_factory=actor)
    when: datetime = field(default_factory=lambda: datetime.now(UTC))
    details: Mapping[str, JsonValue] = field(default_factory=dict)

    def as_object(self) -> dict[str, JsonValue]:
        """Return what the file holds, and an event carries."""
        return {
            "when": self.when.isoformat(),
            "who": self.who,
            "act": self.act.value,
            "run_id": self.run_id,
            **({"details": dict(self.details)} if self.details else {}),
        }


def append(directory: Path, entry: AuditEntry) -> None:
    """Add an act to the trail in a directory, which is made if need be.

    A line is written by one call, so that those of several processes do not mix.

    Raises:
        OSError: The file cannot be written.
    """
    line = json.dumps(entry.as_object(), ensure_ascii=False) + "\n"
    make_private(directory)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(directory / AUDIT_FILE, flags, 0o600)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def entries(directory: Path) -> Iterator[AuditEntry]:
    """Read the trail in a directory, oldest first; a line that was cut short by a crash is left out."""
    with suppress(FileNotFoundError):
        yield from read_lines(directory / AUDIT_FILE, _adapter())


def last_act(directory: Path) -> Act | None:
    """Return what the trail in a directory tells last."""
    acts = [entry.act for entry in entries(directory)]
    return acts[-1] if acts else None


@cache
def _adapter() -> TypeAdapter[AuditEntry]:
    return TypeAdapter(AuditEntry)
