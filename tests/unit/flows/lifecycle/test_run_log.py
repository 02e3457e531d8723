"""Which warnings become lines of a run's log; a list stands for the Prefect API."""

import asyncio
import logging
import threading
from contextlib import contextmanager
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext
from prefect.logging import handlers
from prefect.logging.handlers import APILogHandler
from prefect.settings import PREFECT_LOGGING_TO_API_ENABLED, temporary_settings
from prefect.states import Completed, Failed

from cwl_prefect.errors import StepError
from cwl_prefect.flows.lifecycle.run_log import tell_errors_by_text, warnings_in_log

package = logging.getLogger("cwl_prefect")
logger = logging.getLogger("cwl_prefect.engine.scheduling.disk")


@pytest.fixture(autouse=True, scope="module")
def _logs_are_sent():
    with temporary_settings({PREFECT_LOGGING_TO_API_ENABLED: True}):
        yield


@pytest.fixture(autouse=True)
def sent(monkeypatch) -> list[tuple[str, str]]:
    """Run and message of each line, in order."""
    lines: list[tuple[str, str]] = []
    monkeypatch.setattr(handlers, "emit_api_log", lambda log: lines.append((log["flow_run_id"], log["message"])))
    return lines


@contextmanager
def flow_run(name: str = "brave-otter"):
    found = FlowRun(id=uuid4(), flow_id=uuid4(), name=name)
    with FlowRunContext.model_construct(flow_run=found, flow=None, client=None, parameters={}):
        yield str(found.id)


def in_thread(message: str) -> None:
    thread = threading.Thread(target=logger.warning, args=(message,))
    thread.start()
    thread.join()


def test_a_warning_is_sent_to_the_run_and_nothing_less(sent):
    with flow_run() as run, warnings_in_log():
        logger.warning("the disk is %s", "full")
        logger.info("it was emptied")
    assert sent == [(run, "the disk is full")]


def test_what_is_said_before_and_after_is_not(sent):
    with flow_run():
        logger.warning("before")
        with warnings_in_log():
            pass
        logger.warning("after")
    assert (sent, package.handlers) == ([], [])


def test_a_warning_of_a_nested_run_is_a_line_of_its_log(sent):
    with flow_run(), warnings_in_log(), flow_run("nested") as nested:
        logger.warning("inside")
    assert sent == [(nested, "inside")]


def test_a_thread_warns_for_the_only_run(sent):
    with flow_run() as run, warnings_in_log():
        in_thread("it cannot be removed")
        in_thread("nor this")
    assert sent == [(run, "it cannot be removed"), (run, "nor this")]


async def test_each_of_several_runs_has_its_own_and_none_what_threads_say(sent):
    begun, ended = asyncio.Barrier(2), asyncio.Barrier(2)

    async def run() -> str:
        with flow_run() as found, warnings_in_log():
            await begun.wait()
            logger.warning("of %s", found)
            in_thread("of a thread")
            await ended.wait()
        return found

    runs = await asyncio.gather(run(), run())
    assert sorted(sent) == sorted((one, f"of {one}") for one in runs)


def test_nothing_is_sent_twice_where_prefect_sends_it(sent):
    users = APILogHandler()
    package.addHandler(users)
    try:
        with flow_run() as run, warnings_in_log():
            logger.warning("once")
    finally:
        package.removeHandler(users)
    assert sent == [(run, "once")]


@pytest.fixture
def written(caplog):
    """What loggers of runs write; Prefect keeps their records from other loggers."""
    loggers = [logging.getLogger(f"prefect.{kind}_runs") for kind in ("flow", "task")]
    for each in loggers:
        each.addHandler(caplog.handler)
    with temporary_settings({PREFECT_LOGGING_TO_API_ENABLED: False}):
        yield lambda: caplog.text
    for each in loggers:
        each.removeHandler(caplog.handler)


def fail(error: Exception | None, *how: object, kind: str = "flow") -> None:
    logging.getLogger(f"prefect.{kind}_runs").error(*how, exc_info=error)


def test_an_own_error_is_told_by_its_text_alone(written):
    tell_errors_by_text()
    error = StepError("align failed: it exited with code 3\n  100% done", hint="look at its log")
    fail(error, "Encountered exception during execution: %r", error)
    fail(error, f"Task run failed with exception: {error!r} - Retries are exhausted")
    text = "align failed: it exited with code 3\n  100% done\nTo fix: look at its log"
    assert f"Encountered exception during execution: {text}\n" in written()
    assert f"Task run failed with exception: {text} - Retries are exhausted\n" in written()
    assert "StepError" not in written()


def test_any_other_error_stays_as_prefect_tells_it(written):
    tell_errors_by_text()
    error = KeyError("a")
    fail(error, "Encountered exception during execution: %r", error)
    assert "Encountered exception during execution: KeyError('a')\nKeyError: 'a'" in written()


def test_an_error_that_will_be_tried_again_is_told_so(written, caplog):
    tell_errors_by_text()
    runs = logging.getLogger("prefect.flow_runs")
    with caplog.at_level(logging.INFO, logger=runs.name):
        runs.info("Task run failed with %s: %r - Retry %s/%s", "exception", StepError("busy"), 1, 3)
    assert "Task run failed with exception: busy - Retry 1/3" in written()


def test_a_failure_is_told_in_whole_and_readable_by_its_task_run_alone(written, caplog):
    tell_errors_by_text()
    error = StepError("align failed: it's code 3\n  stderr:\n    broken")
    fail(error, f"Task run failed with exception: {error!r} - Retries are exhausted", kind="task")
    fail(None, f"Finished in state {Failed(message=f'It raised {error}')}", kind="task")
    error.told = True
    fail(error, "Encountered exception during execution: %r", error)
    fail(None, f"Finished in state {Failed(message=f'It raised {error}', name='Partial')}")
    assert list(dict.fromkeys(record.getMessage() for record in caplog.records)) == [
        "Task run failed with exception: align failed: it's code 3 - Retries are exhausted",
        "Finished in state Failed: It raised align failed: it's code 3\n  stderr:\n    broken",
        "Encountered exception during execution: align failed: it's code 3",
        "Finished in state Partial: It raised align failed: it's code 3",
    ]


def test_the_log_of_a_task_run_says_what_its_call_took_and_ran(written, caplog):
    tell_errors_by_text()
    done = Completed(message="inputs:    word \"it's\"\ncommand:   echo it's")
    fail(None, f"Finished in state {done}", kind="task")
    assert set(caplog.messages) == {"Finished in state Completed: inputs:    word \"it's\"\ncommand:   echo it's"}


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (Completed(), "Completed"),
        (Completed(name="Skipped"), "Skipped"),
        (Completed(message="done", name="Cached"), "Cached: done"),
    ],
    ids=["no-message", "another-name", "both"],
)
def test_a_state_is_told_by_its_name_and_message(written, state, told):
    tell_errors_by_text()
    fail(None, f"Finished in state {state}")
    assert f"Finished in state {told}\n" in written()


def test_what_is_no_state_stays(written):
    tell_errors_by_text()
    fail(None, "it is %d%% done", 3)
    assert "it is 3% done" in written()
