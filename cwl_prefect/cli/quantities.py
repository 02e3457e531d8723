"""Times, sizes and JSON as options."""

import json
from datetime import timedelta

from pydantic import JsonValue

from cwl_prefect._lib import quantities
from cwl_prefect.errors import UsageError

_MEBIBYTE = 1 << 20


def duration(text: str, option: str) -> timedelta:
    """Return the time that an option has, but none longer than Python can hold.

    Raises:
        UsageError: It is none.
    """
    try:
        return timedelta(seconds=quantities.seconds(text))
    except ValueError as error:
        raise UsageError(f"{option}: {text!r} {error}.") from error
    except OverflowError:
        return timedelta.max


def mebibytes(text: str, option: str) -> float:
    """Return the amount of memory or disk space that an option has, in MiB.

    Raises:
        UsageError: It is none.
    """
    try:
        return quantities.mebibytes(text)
    except ValueError as error:
        raise UsageError(f"{option}: {text!r} {error}.") from error


def cache_bounds(older_than: str | None, max_size: str | None) -> tuple[float | None, int | None]:
    """Return for how many seconds what stays may be unused, and how many bytes may stay; None without a bound.

    Raises:
        UsageError: A time or size cannot be read.
    """
    unused_for_s = None if older_than is None else duration(older_than, "--older-than").total_seconds()
    most_bytes = None if max_size is None else int(mebibytes(max_size, "--max-size") * _MEBIBYTE)
    return unused_for_s, most_bytes


def json_or_text(text: str) -> JsonValue:
    """Return the value that is written as JSON, or the text itself where it is none."""
    try:
        parsed: JsonValue = json.loads(text)
    except ValueError:
        return text
    return parsed
