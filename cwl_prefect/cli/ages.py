"""How old something may be, as people write it."""

import re
from datetime import timedelta

from cwl_prefect.errors import UsageError

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def age(text: str | None, option: str) -> timedelta | None:
    """Read an age as ``90s``, ``30m``, ``12h``, ``7d`` or ``2w``; None where none is given.

    Raises:
        UsageError: It is none.
    """
    if text is None:
        return None
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhdw])\s*", text)
    if match is None:
        raise UsageError(f"{option}: {text!r} is no age.", hint="give a number and a unit, as 90s, 30m, 12h or 7d.")
    return timedelta(**{_UNITS[match.group(2)]: float(match.group(1))})
