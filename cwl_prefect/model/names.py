"""Names of steps and calls, short names of what a document declares, and texts that stand for the id of a run."""

import re

_SHORTEST_BEGINNING = 4  # characters
_INDICES = re.compile(r"\[[\d,]*\]")


def call_name(step: str, index: tuple[int, ...]) -> str:
    """Write a step path with the place in its scatter, as ``align[0,2]``."""
    return f"{step}[{','.join(map(str, index))}]" if index else step


def without_indices(name: str) -> str:
    """Return the path of a step without places in scatters, as ``prepare.align`` of ``prepare[2].align[0]``."""
    return _INDICES.sub("", name) if "[" in name else name


def short_name(identifier: str) -> str:
    """Return the last part of an identifier, as ``reads`` of ``file:///tools/align.cwl#main/reads``."""
    return identifier.rpartition("#")[2].rpartition("/")[2]


def begins_id(text: str, run_id: str) -> bool:
    """Check whether a text may stand for a run as the beginning of its id."""
    return len(text) >= _SHORTEST_BEGINNING and run_id.startswith(text)
