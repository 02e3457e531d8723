"""Record what happens in a run, line by line, and report it at the end."""

import asyncio
import getpass
import json
import logging
import os
import platform
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from pydantic import JsonValue

from cwl_prefect import __version__
from cwl_prefect._lib.atomic_write import write_whole
from cwl_prefect._lib.own_files import make_private
from cwl_prefect.engine.records.secrets import secret_texts, without
from cwl_prefect.engine.workflow.graph import draw
from cwl_prefect.model.events import RunEnded, RunObserver, RunStarted, StepEnded, StepEvent, StepEventKind
from cwl_prefect.model.json_text import dumps
from cwl_prefect.model.plan import WorkflowPlan, encode_plan
from cwl_prefect.model.usage import Tried
from cwl_prefect.model.values import CwlObject, bounded, map_file_objects
from cwl_prefect.reports.record import members_of
from cwl_prefect.reports.trace import PLAN, TRACE, TRACE_VERSION

_LONGEST_MESSAGE = 4000
LARGEST_VALUES = 16 * 1024
"""Most bytes of JSON of the inputs, or of the outputs, of a call that are recorded."""

_ALL_VALUES = 64 * 1024 * 1024  # most bytes of them together, of each driver
_FILE_FIELDS = ("class", "location", "basename", "checksum", "size", "format", "secondaryFiles", "listing")

_NOTHING = b"null"

_logger = logging.getLogger(__name__)


class Recorder(RunObserver):
    """Writes the trace of a run: one line of JSON for its beginning, each beginning and try of a call, and its end.

    Each line is written as a whole at once, so that all that happened is there when the process is killed. A resumed
    run goes on in the same file. A trace that cannot be written is done without.
    """

    def __init__(self) -> None:
        self._file: int | None = None  # None: not begun, or it cannot be written
        self._directory: Path | None = None
        self._secret: tuple[str, ...] = ()
        self._room = _ALL_VALUES

    def run_started(self, event: RunStarted) -> None:
        """Begin the trace."""
        if event.settings is None or event.plan is None:
            return
        self._directory = event.settings.reports / event.flow_run_id
        self._secret = secret_texts(event.plan, event.inputs or {})
        try:
            make_private(self._directory)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._file = os.open(self._directory / TRACE, flags, 0o600)
        except OSError as error:
            _logger.warning("the trace of the run cannot be written to %s: %s", self._directory, error.strerror)
            return
        self._keep_plan(event.plan, anew=event.resumed)
        self._write(
            "run_started",
            version=TRACE_VERSION,
            run=event.flow_run_id,
            name=event.name,
            url=event.url,
            resumed=event.resumed,
            began_at=round(event.began_s, 3),
            workflow=event.plan.name,
            document=event.plan.origin,
            plan=event.plan.digest,
            host=socket.gethostname(),
            user=_user(),
            pid=os.getpid(),
            versions={"cwl-prefect": __version__, "python": platform.python_version()},
            outdir=None if event.outdir is None else str(event.outdir),
            secret=bool(self._secret),
            inputs=bounded(event.inputs or {}),
            drawing=asdict(draw(event.plan)),
        )

    def step_planned(self, event: StepEvent) -> None:
        """Note how many calls a step has."""
        self._write("step_planned", step=event.step, count=event.count)

    def call_started(self, event: StepEvent) -> None:
        """Note that a call began."""
        self._write("subworkflow_started" if event.subworkflow else "call_started", step=event.step, call=event.call)

    def call_retrying(self, event: StepEvent) -> None:
        """Note how a try failed that is not the last."""
        self.call_ended(event)

    def call_ended(self, event: StepEvent) -> None:
        """Note how a call, or a try of it, ended."""
        ended: dict[str, JsonValue] = {"step": event.step, "call": event.call, "state": event.kind.value}
        ended["message"] = None if event.message is None else event.message[:_LONGEST_MESSAGE]
        if event.tried is not None:
            ended |= _described(event.tried)
        if event.kind is StepEventKind.CACHED:
            ended["saved_s"] = event.saved_s
        values = {}
        if event.inputs is not None:
            values = {"inputs": self._values(event.inputs), "outputs": self._values(event.outputs)}
        self._write("subworkflow_ended" if event.subworkflow else "call_ended", values, **ended)

    def step_ended(self, event: StepEnded) -> None:
        """Note how a step ended."""
        message = None if event.error is None else str(event.error)[:_LONGEST_MESSAGE]
        self._write("step_ended", step=event.step, state=event.state.value, message=message)

    def run_ended(self, event: RunEnded) -> None:
        """End the trace."""
        self._write("run_ended", state=event.state.value, message=event.message, outputs=bounded(event.outputs))

    async def aclose(self) -> None:
        """Write the report beside the trace."""
        if self._file is None:
            return
        os.close(self._file)
        self._file = None
        if self._directory is not None:
            from cwl_prefect.reports.files import write_report

            await asyncio.to_thread(write_report, self._directory)

    def _keep_plan(self, plan: WorkflowPlan, *, anew: bool) -> None:
        """Keep what is run beside the trace, for crates."""
        if self._directory is None or ((self._directory / PLAN).exists() and not anew):
            return
        text = encode_plan(plan)
        if self._secret:
            text = json.dumps(without(json.loads(text), self._secret)).encode()
        try:
            write_whole(self._directory / PLAN, text)
        except OSError as error:
            _logger.warning("the plan of the run cannot be written to %s: %s", self._directory, error.strerror)

    def _values(self, values: CwlObject | None) -> bytes:
        """Return the values of a call as JSON, as long as there is room for them."""
        if values is None:
            return _NOTHING
        text = dumps(without(map_file_objects(values, _known_by), self._secret))
        if len(text) > min(LARGEST_VALUES, self._room):
            return _NOTHING
        self._room -= len(text)
        return text

    def _write(self, event: str, values: Mapping[str, bytes] | None = None, **members: JsonValue) -> None:
        """Write a line.

        Args:
            event: What it tells of.
            values: Members of it that are JSON already.
            members: The others.
        """
        if self._file is None:
            return
        line = dumps(without({"event": event, "at": _rounded(time.time()), **members}, self._secret))
        if values:
            line = b"".join((line[:-1], *(b',"%b":%b' % (name.encode(), text) for name, text in values.items()), b"}"))
        try:
            os.write(self._file, line + b"\n")
        except OSError as error:
            _logger.warning("the trace in %s cannot be written any more: %s", self._directory, error.strerror)
            os.close(self._file)
            self._file = None


def _known_by(file: CwlObject) -> CwlObject:
    """Return a File or Directory with what tells it from others, and without what was read of it."""
    fields = _FILE_FIELDS if file.get("location") else (*_FILE_FIELDS, "contents")
    return {name: file[name] for name in fields if file.get(name) is not None}


def _described(tried: Tried) -> dict[str, JsonValue]:
    members = {name: _rounded(value) for name, value in members_of(tried).items()}
    return {"try": members.pop("number"), **members}


def _rounded(value: str | float | None) -> str | float | None:
    return round(value * 1000) / 1000 if isinstance(value, float) else value  # ``round(value, 3)`` is slow


def _user() -> str | None:
    with suppress(OSError, KeyError):
        return getpass.getuser()
    return None
