"""What tells whether a job that is found running is the one that a call would start."""

import hashlib
import json
import os
import stat
from dataclasses import asdict
from pathlib import Path

from cwl_prefect.model.job import BoundCall, EntryKind, StagedEntry

_ORIGINALS = frozenset(
    (EntryKind.FILE, EntryKind.DIRECTORY, EntryKind.WRITABLE_FILE, EntryKind.WRITABLE_DIRECTORY),
)
_SHOWN_DIGITS = 40  # fits a Kubernetes label
_SMALL_FILE = 4096  # bytes; no smaller than what the call cache keeps inside its entries


def identity(call: BoundCall) -> str:
    """Return the same text for two calls if they run the same command on the same files, wherever these lie.

    A small file is known by its content: the call cache writes it anew when it restores it. A larger one is known by
    size and time of change: it is the same after it was restored as a link, another one after the step before was run
    again. Nothing else is read.
    """
    described = {
        "command": call.command,
        "env": dict(call.env),
        "entries": [_entry(entry) for entry in call.entries],
        "places": (call.outdir, call.tmpdir, call.stdin, call.stdout, call.stderr),
        "image": None if call.image is None else asdict(call.image),
        "network": call.network,
        "inplace": call.inplace_update,
    }
    text = json.dumps(described, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_SHOWN_DIGITS]


def _entry(entry: StagedEntry) -> tuple[str, str, str | tuple[int, int] | None]:
    if entry.kind not in _ORIGINALS:
        return entry.kind, entry.target, entry.source
    try:
        found = os.stat(entry.source)  # noqa: PTH116 - three times faster than by Path
        if stat.S_ISREG(found.st_mode) and found.st_size <= _SMALL_FILE:
            return entry.kind, entry.target, hashlib.sha256(Path(entry.source).read_bytes()).hexdigest()
    except OSError:
        return entry.kind, entry.target, None
    return entry.kind, entry.target, (found.st_size, found.st_mtime_ns)
