import json
import logging

import pytest

from cwl_prefect.cli.json_lines import JsonLines
from cwl_prefect.cli.log_output import StandardErrorHandler, configure_logging
from cwl_prefect.cli.terminal import complain, write_messages_as
from cwl_prefect.errors import StepError
from cwl_prefect.model.events import RunEnded, RunStarted, RunState, StepEnded, StepEvent, StepEventKind
from tests.plans import workflow

RUN_ID = "0190f5a2-7d3e-7c1a-9b5e-3f6c8d2a1b40"
ABOUT = {"run": "calm-cat", "flow_run": RUN_ID, "trace": RUN_ID.replace("-", "")}


@pytest.fixture
def lines(capsys):
    """Return what was written since it was called last."""

    def read():
        found = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
        assert all(line.pop("time").endswith("+00:00") for line in found)
        return found

    return read


@pytest.fixture
def json_lines(lines):
    made = JsonLines()
    secret = {"class": "http://commonwl.org/cwltool#Secrets", "secrets": ["word"]}
    made(
        RunStarted(
            flow_run_id=RUN_ID, name="calm-cat", url=None, plan=workflow(hints=(secret,)), inputs={"word": "hush"}
        )
    )
    assert lines() == [{"level": "info", "event": "run_started", **ABOUT, "resumed": False}]
    return made


def told(kind, **members):
    return StepEvent(kind=kind, step="prepare[2].align", call="prepare[2].align[0,3]", **members)


CALL = {**ABOUT, "step": "prepare[2].align", "call": "prepare[2].align[0,3]", "index": [0, 3]}


def test_each_try_of_a_call_says_which_it_is(json_lines, lines):
    json_lines(told(StepEventKind.STARTED))
    json_lines(told(StepEventKind.RETRYING, message="it exited with 75"))
    json_lines(told(StepEventKind.SUCCEEDED))
    retrying = {"try": 1, "state": "retrying", "message": "it exited with 75"}
    assert lines() == [
        {"level": "info", "event": "call_started", **CALL, "try": 1},
        {"level": "info", "event": "call_retrying", **CALL, **retrying},
        {"level": "info", "event": "call_ended", **CALL, "try": 2, "state": "succeeded"},
    ]


def test_failures_are_errors_without_secrets(json_lines, lines):
    failed = {"level": "error", "state": "failed", "message": "no (secret)"}
    json_lines(told(StepEventKind.FAILED, message="no hush"))
    json_lines(StepEnded(step="prepare", error=StepError("no hush")))
    json_lines(RunEnded(state=RunState.FAILED, message="no hush", outputs={}))
    assert lines() == [
        {"event": "call_ended", **CALL, "try": 1, **failed},
        {"event": "step_ended", **ABOUT, "step": "prepare", **failed},
        {"event": "run_ended", **ABOUT, **failed},
    ]


def test_log_records_and_messages_are_lines_too(json_lines, lines):
    root = logging.getLogger()
    before = list(root.handlers)
    try:
        configure_logging(lines=json_lines)
        (ours,) = [handler for handler in root.handlers if isinstance(handler, StandardErrorHandler)]
        ours.handle(
            logging.LogRecord("cwl_prefect.flows", logging.WARNING, __file__, 1, "no room in %s", ("/tmp",), None)
        )
        complain("Error: align failed.\nTo fix: try again.")
        complain("Took 2.0 s")
    finally:
        root.handlers[:] = before
        write_messages_as(str)
    warned = {"logger": "cwl_prefect.flows", "message": "no room in /tmp"}
    assert lines() == [
        {"level": "warning", "event": "log", **ABOUT, **warned},
        {"level": "error", "event": "message", **ABOUT, "message": "align failed.\nTo fix: try again."},
        {"level": "info", "event": "message", **ABOUT, "message": "Took 2.0 s"},
    ]
