"""Log lines to a pipe that nobody reads."""

import logging
import os
from collections.abc import Iterator

import pytest
from prefect.logging.handlers import PrefectConsoleHandler

from cwl_prefect.flows.lifecycle.console import outlive_readers


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """A logger that writes, as Prefect's do, to a pipe whose reader is gone."""
    reader, writer = os.pipe()
    os.close(reader)
    found = logging.getLogger("cwl_prefect.test_console")
    with os.fdopen(writer, "w", encoding="utf-8") as stream:
        handler = PrefectConsoleHandler(stream)
        found.addHandler(handler)
        yield found
        found.removeHandler(handler)
        os.dup2(os.open(os.devnull, os.O_WRONLY), writer)


def test_a_line_that_nobody_reads_does_not_end_the_process(logger: logging.Logger) -> None:
    outlive_readers()
    logger.error("nobody reads this")
    logger.error("nor this")
    assert logger.handlers[0].console.quiet
