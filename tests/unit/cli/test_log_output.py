import io
import logging
import sys
import threading

import pytest

from cwl_prefect.cli import log_output
from cwl_prefect.cli.log_output import ENGINE_ROOM, StandardErrorHandler, configure_logging


@pytest.fixture(autouse=True)
def _root_handlers():
    root = logging.getLogger()
    before, hook, raising = list(root.handlers), threading.excepthook, logging.raiseExceptions
    yield
    root.handlers[:], threading.excepthook, logging.raiseExceptions = before, hook, raising
    logging.getLogger(ENGINE_ROOM).filters.clear()


def record(name, level, message="told"):
    try:
        int("inside")
    except ValueError:
        return logging.LogRecord(name, level, __file__, 1, message, None, sys.exc_info())


def shown(capsys, name, level, **options):
    configure_logging(**options)
    ours = [handler for handler in logging.getLogger().handlers if isinstance(handler, StandardErrorHandler)]
    assert len(ours) == 1
    each = record(name, level)
    if level >= ours[0].level:
        ours[0].handle(each)
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "level", "options", "told"),
    [
        pytest.param("cwl_prefect", logging.WARNING, {}, "warning: told\n", id="warning-without-traceback"),
        pytest.param("cwl_prefect", logging.INFO, {}, "", id="information"),
        pytest.param("cwl_prefect", logging.WARNING, {"quiet": True}, "", id="warning-when-quiet"),
        pytest.param("prefect.flow_runs", logging.ERROR, {}, "", id="error-that-the-report-repeats"),
        pytest.param("prefect._internal", logging.WARNING, {}, "", id="warning-of-the-engine"),
        pytest.param("prefect.client", logging.ERROR, {}, "error: told\n", id="error-of-the-engine"),
    ],
)
def test_the_terminal_shows_what_the_report_does_not(capsys, name, level, options, told):
    assert shown(capsys, name, level, **options) == told


def test_everything_is_shown_on_request(capsys):
    text = shown(capsys, "prefect.flow_runs", logging.INFO, verbose=True)

    assert text.startswith("info: told\nTraceback")


def test_what_comes_after_a_closed_terminal_is_told_on_another(monkeypatch):
    closed, other = io.StringIO(), io.StringIO()
    closed.close()
    handler = StandardErrorHandler()
    handler.setFormatter(logging.Formatter("%(levelno)s %(message)s"))
    for stream in (closed, other):
        monkeypatch.setattr(sys, "stderr", stream)
        handler.emit(logging.LogRecord("x", logging.ERROR, __file__, 1, "told", None, None))

    assert other.getvalue() == "40 told\n"


@pytest.mark.parametrize("api", ["http://prefect.example/api", None], ids=["configured-api", "local-server"])
def test_events_that_cannot_be_sent_are_told_in_one_line(capsys, monkeypatch, api):
    monkeypatch.setattr(log_output, "configured_api", lambda: api)
    configure_logging()
    for _ in range(3):
        logging.getLogger(ENGINE_ROOM).error("Service 'EventsWorker' failed to process item Event(occurred=...)")

    told = "warning: Prefect's API could not be told all that happened; its log and timeline may have gaps.\n"
    assert capsys.readouterr().err == ("" if api is None else told)


@pytest.mark.parametrize(
    ("error", "told"),
    [(OSError("no room"), "warning: the thread worker failed: OSError: no room\n"), (SystemExit(), "")],
    ids=["error", "exit"],
)
def test_a_thread_that_fails_is_told_in_one_line(capsys, error, told):
    def fail():
        raise error

    configure_logging()
    thread = threading.Thread(target=fail, name="worker")
    thread.start()
    thread.join()

    assert capsys.readouterr().err == told
