"""Cleaning up after a run: bounded in time, to its end although the run is cancelled, and never the run's failure."""

import asyncio
import logging
from collections.abc import Awaitable
from typing import TypeVar

from cwl_prefect._lib.cancellation import shielded
from cwl_prefect.errors import CwlPrefectError

T = TypeVar("T")

CLEANUP_TIMEOUT_S = 20.0
"""Seconds for each thing to clean up; whoever cancelled may kill the process after 30."""

_logger = logging.getLogger(__name__)


async def attempted(what: str, work: Awaitable[T]) -> T | None:
    """Clean something up; where that fails or takes too long, tell the log and give None.

    Args:
        what: What is not done then, as ``containers could not be removed`` says it.
        work: Does it.
    """
    try:
        async with asyncio.timeout(CLEANUP_TIMEOUT_S):
            return await work
    except (CwlPrefectError, TimeoutError) as error:
        _logger.warning("%s: %s", what, str(error) or "it took too long")
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
