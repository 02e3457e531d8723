"""Times and sizes as options."""

from datetime import timedelta

from cwl_prefect._lib import quantities
from cwl_prefect.errors import UsageError


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
