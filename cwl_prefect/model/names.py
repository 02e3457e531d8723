"""Names of steps and calls, and short names of what a document declares."""

import re

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
