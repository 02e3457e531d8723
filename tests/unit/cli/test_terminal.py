"""Texts of strangers do nothing to a terminal, and a full disk takes nothing from a run."""

import errno
import io
import json
import logging

import pytest

from cwl_prefect.cli.log_output import StandardErrorHandler
from cwl_prefect.cli.run.progress import PlainLines
from cwl_prefect.cli.terminal import complain, printable, tell, write_results
from cwl_prefect.model.events import StepEvent, StepEventKind

EVIL = "a\x1b]0;title\x07\x9b2J\x7f\u202eb"
ESCAPED = r"a\u001b]0;title\u0007\u009b2J\u007f\u202eb"


@pytest.mark.parametrize("text", ["plain", "é 😀 \u4e2d", "two\nlines\tand tabs", ""])
def test_texts_stay_as_they_are(text):
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param(EVIL, ESCAPED, id="escape-sequences"),
        pytest.param("a\rb", r"a\u000db", id="carriage-return"),
        pytest.param("\udcff", r"\udcff", id="byte-of-a-name"),
    ],
)
def test_what_a_terminal_would_obey_is_escaped(text, shown):
    assert printable(text) == shown


def test_everything_that_is_told_is_escaped(capsys):
    tell(EVIL)
    tell(EVIL, err=True)
    complain(EVIL)
    StandardErrorHandler().handle(logging.LogRecord("a", logging.ERROR, __file__, 1, EVIL, None, None))
    lines = PlainLines(stream := io.StringIO())
    lines.observe(StepEvent(step=EVIL, kind=StepEventKind.STARTED))
    told = capsys.readouterr()
    assert told.out == f"{ESCAPED}\n"
    assert told.err.splitlines() == [ESCAPED] * 3
    assert ESCAPED in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_results_are_json_whatever_they_hold():
    stream = io.StringIO()
    write_results({"o": [EVIL, "é", "\udcff"]}, stream)
    assert json.loads(stream.getvalue()) == {"o": [EVIL, "é", "\udcff"]}
    assert "é" in stream.getvalue()
    stream.getvalue().encode()
    assert "\x9b" not in stream.getvalue()


def test_results_are_json_or_are_not_written():
    stream = io.StringIO()
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_results({"o": float("inf")}, stream)
    assert stream.getvalue() == ""


class Full(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_results_that_cannot_be_written_are_a_warning(capsys):
    write_results({}, Full())
    assert capsys.readouterr().err.startswith("Warning: the results could not be written")


class Gone(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_a_reader_that_went_away_is_told_apart():
    with pytest.raises(BrokenPipeError):
        write_results({}, Gone())
