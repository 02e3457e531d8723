"""The documents that an editor has open, and those beside them that they refer to."""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import yaml

from cwl_prefect.editor.outline import LARGEST_TEXT, Entry, entries, parsed, processes, text, value_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process, or what else of a document is referred to, and the document that it is in."""

    path: Path
    node: yaml.Node

    def ports(self, field: str) -> dict[str, Entry]:
        """Return its ``inputs``, ``outputs`` or ``steps`` by name."""
        return {entry.name: entry for entry in entries(value_of(self.node, field))}


def text_at(path: Path, texts: Mapping[Path, str]) -> str | None:
    """Return the text of a document as it is open, or else as its file has it; None for what is no small file."""
    if path in texts:
        return texts[path]
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST_TEXT:
            return None
        return path.read_text("utf-8")
    except (OSError, ValueError):
        return None


def ran_by(step: yaml.Node, path: Path, texts: Mapping[Path, str]) -> Process | None:
    """Return what a step runs, where it is written there or on this machine.

    Args:
        step: The step.
        path: The document that it is in.
        texts: The texts that are open.
    """
    run = value_of(step, "run")
    if not isinstance(run, yaml.ScalarNode):
        return None if run is None else Process(path=path, node=run)
    return process_named(str(text(run)), path, texts)


def process_named(reference: str, path: Path, texts: Mapping[Path, str]) -> Process | None:
    """Return the process that a document refers to, as ``tools/align.cwl``, ``all.cwl#align`` or ``#align``."""
    if "://" in reference:
        return None
    file, _, fragment = unquote(reference).partition("#")
    place = Path(os.path.normpath(path.parent / file)) if file else path
    found = processes(parsed(text_at(place, texts) or ""))
    if fragment:
        found = [node for node in found if (text(value_of(node, "id")) or "").lstrip("#") == fragment]
    return Process(path=place, node=found[0]) if found else None
