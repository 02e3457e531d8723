"""Cleaning up after a run: bounded in time, to its end although the run is cancelled, and never the run's failure."""

import asyncio
import logging
from collections.abc import Awaitable
from typing import TypeVar

from cwl_prefect.backends.base import shielded

T = TypeVar("T")

CLEANUP_TIMEOUT_S = 20.0
"""Seconds for each thing to clean up; whoever cancelled may kill the process after 30."""

_logger = logging.getLogger(__name__)


async def attempted(what: str, work: Awaitable[T], *, limit_s: float | None = None) -> T | None:
    """Clean something up; where that fails or takes too long, tell the log and give None.

    Args:
        what: What is to be done, as ``containers could not be removed`` says it.
        work: Does it.
        limit_s: Seconds that it may take.
    """
    try:
        async with asyncio.timeout(CLEANUP_TIMEOUT_S if limit_s is None else limit_s):
            return await work
    except TimeoutError:
        _logger.error("%s: it took too long", what)  # noqa: TRY400 - where it stood says nothing
    except Exception:
        _logger.exception("%s", what)
    return None


async def cleaned_up(*steps: tuple[str, Awaitable[object]]) -> None:
    """Clean up one thing after the other, although the caller is being cancelled.

    Args:
        steps: What to say where it fails, and what does it.

    Raises:
        CancelledError: The caller was cancelled meanwhile; everything is done by then.
    """

    async def all_steps() -> None:
        """Do the steps in their order; one that fails does not keep the next from being done."""
        for what, work in steps:
            await attempted(what, work)

    await shielded(all_steps())
