"""Times and sizes as people write them: a number, and a unit behind it."""

import re

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_MEBIBYTES = {"k": 2**-10, "m": 1, "g": 2**10, "t": 2**20}

_TIME = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([smhdw]?)\s*")
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*([kmgt]?)(?:i?b)?\s*", re.IGNORECASE)


def seconds(text: str) -> float:
    """Return how long a time is that is written as ``90``, ``90s``, ``30m``, ``12h``, ``7d`` or ``2w``.

    Raises:
        ValueError: It is no time.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError("is no time; write seconds, or a unit as in 30m, 12h or 7d")
    return float(match[1]) * _SECONDS[match[2]]


def mebibytes(text: str, *, of_plain: float = 1) -> float:
    """Return a size in MiB that is written as ``512``, ``512M``, ``8GiB`` or ``8g``; all units are powers of 1,024.

    Args:
        text: The size.
        of_plain: How many MiB a number without a unit counts.

    Raises:
        ValueError: It is no size.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError("is no size; write mebibytes, or a unit as in 512M or 8G")
    return float(match[1]) * _MEBIBYTES.get(match[2].lower(), of_plain)
