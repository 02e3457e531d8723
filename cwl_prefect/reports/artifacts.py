"""A run in the Prefect UI: its progress, steps, outputs and a summary, as artifacts that are updated in place."""

import asyncio
import html
import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.context import FlowRunContext
from pydantic import JsonValue

from cwl_prefect._lib.cancellation import cancel_and_wait
from cwl_prefect.engine.records.secrets import secret_texts, without
from cwl_prefect.model.events import RunEnded, RunEvent, RunObserver, RunStarted, RunState
from cwl_prefect.model.values import file_objects
from cwl_prefect.reports.page.previews import images
from cwl_prefect.reports.tally import Tally
from cwl_prefect.settings import Keep

MOST_ROWS = 500
"""Most rows of a table; the report has all."""

_PAUSE_S = 10.0
_LONGEST_TEXT = 2000
_ABOUT = {
    "progress": "How much is done of the calls known so far, where a step that is to come counts as one",
    "steps": "How many calls of each step are in which state",
    "outputs": "What the run gave",
    "summary": "How the run ended, and where its results and its report are",
}
_STATES = ("waiting", "running", "succeeded", "cached", "failed", "skipped", "cancelled")
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|~-])")
_FENCES = re.compile("`+")
_NO_KEY = re.compile(r"[^a-z0-9]+")

_logger = logging.getLogger(__name__)


class Artifacts(RunObserver):
    """Keeps the artifacts of a run up to date; an API that does not take them is done without.

    They are four: that of its progress is left out where a run ends before anybody could have looked at it.
    """

    def __init__(self) -> None:
        self._client: PrefectClient | None = None  # None: the run is in no flow run of an API
        self._run: RunStarted | None = None
        self._tally = Tally()
        self._ended: RunEnded | None = None
        self._ids: dict[str, UUID] = {}
        self._told: dict[str, object] = {}
        self._secret: tuple[str, ...] = ()
        self._keeping: asyncio.Task[None] | None = None

    def __call__(self, event: RunEvent) -> None:
        """Count an event."""
        self._tally.observe(event)
        super().__call__(event)

    def run_started(self, event: RunStarted) -> None:
        """Begin to show the run."""
        context = FlowRunContext.get()
        if context is None or not isinstance(context.client, PrefectClient):
            return
        self._client, self._run = context.client, event
        if event.plan is not None:
            self._secret = secret_texts(event.plan, event.inputs or {})
        self._keeping = asyncio.create_task(self._keep())

    def run_ended(self, event: RunEnded) -> None:
        """Note how the run ended."""
        self._ended = event

    async def aclose(self) -> None:
        """Show how the run ended."""
        if self._keeping is not None:
            await cancel_and_wait(self._keeping)
        if self._client is not None:
            await self._show(ended=True)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(_PAUSE_S)
            await self._show(ended=False)

    async def _show(self, *, ended: bool) -> None:
        try:
            shown = [self._put("steps", "table", json.dumps(self._rows()))]
            if not ended or "progress" in self._ids:
                shown.append(self._put("progress", "progress", self._progress()))
            if ended:
                shown.append(self._put("outputs", "markdown", await asyncio.to_thread(self._outputs)))
                shown.append(self._put("summary", "markdown", self._summary()))
            await asyncio.gather(*shown)
        except Exception as error:  # noqa: BLE001 - the run is no worse without it
            _logger.debug("artifacts of the run cannot be written: %s", error)

    async def _put(self, name: str, kind: str, data: str | float) -> None:
        """Create an artifact, or change it where it is another than before."""
        if self._client is None or self._run is None or self._told.get(name) == data:
            return
        self._told[name] = data
        if name in self._ids:
            await self._client.update_artifact(self._ids[name], ArtifactUpdate(data=data))
            return
        workflow = "workflow" if self._run.plan is None else self._run.plan.name
        key = _NO_KEY.sub("-", f"{workflow}-{name}".lower()).strip("-")
        run_id = UUID(self._run.flow_run_id)
        made = ArtifactCreate(key=key, type=kind, description=_ABOUT[name], data=data, flow_run_id=run_id)
        self._ids[name] = (await self._client.create_artifact(made)).id

    def _progress(self) -> float:
        if self._ended is not None and self._ended.state.value == "succeeded":
            return 100.0
        calls = self._tally.calls()
        to_come = sum(counts.began_at is None for counts in self._tally.own_steps())
        done, known = calls.succeeded + calls.cached + calls.skipped, calls.total + to_come
        return done * 1000 // known / 10 if known else 0.0  # never all where something is left

    def _rows(self) -> list[Mapping[str, JsonValue]]:
        begun = [counts for counts in self._tally.own_steps() if counts.began_at is not None]
        return [
            {"step": counts.name, **{state: getattr(counts, state) for state in _STATES}}
            for counts in begun[:MOST_ROWS]
        ]

    def _outputs(self) -> str:
        found = {} if self._ended is None else without(self._ended.outputs, self._secret)
        assert isinstance(found, dict)  # noqa: S101 - what a mapping is without secrets
        files = [(name, file) for name, value in found.items() for file in file_objects(value)]
        lines = ["| output | file | bytes | checksum |", "|---|---|---|---|"]
        for name, file in files[:MOST_ROWS]:
            cells = (name, file.get("location") or file.get("basename"), file.get("size"), file.get("checksum"))
            lines.append(f"| {' | '.join(_escaped(cell) for cell in cells)} |")
        if len(files) > MOST_ROWS:
            lines.append(f"\n{len(files) - MOST_ROWS} more are in the report.")
        values = {name: value for name, value in found.items() if not list(file_objects({"value": value}))}
        shown = list(values.items())[:MOST_ROWS]
        lines += [f"\n**{_escaped(name)}**: {_escaped(json.dumps(value))}" for name, value in shown]
        lines += [f"\n{_escaped(name)}:\n\n![]({data})" for name, data in self._images()]
        return "\n".join(lines if files else lines[2:]) or "none"

    def _images(self) -> list[tuple[str, str]]:
        """Return names and data of images among the outputs; none where a run has secrets, which may be in them."""
        run, ended = self._run, self._ended
        if ended is None or run is None or run.plan is None or run.outdir is None or self._secret:
            return []
        return images(dict(ended.outputs), Path(run.outdir))

    def _summary(self) -> str:
        ended, run = self._ended, self._run
        if ended is None or run is None:
            return ""
        message = without(ended.message, self._secret)
        lines = [f"**{ended.state.value}**", *([] if message is None else ["", _block(str(message))])]
        if run.outdir is not None and ended.outputs:
            lines += ["", f"The results are in {_escaped(run.outdir)}"]
            lines += ["", f"`cwl-prefect runs outputs {run.flow_run_id}`"]
        if ended.state is RunState.FAILED and run.settings is not None and run.settings.keep is not Keep.NEVER:
            lines += ["", f"`cwl-prefect runs resume {run.flow_run_id}` goes on with it."]
        if run.settings is not None and run.settings.record:
            lines += ["", f"The report: {_escaped(str(run.settings.reports / run.flow_run_id / 'report.html'))}"]
            lines += ["", f"`cwl-prefect runs report {run.flow_run_id} -o report.html`"]
        return "\n".join(lines)


def _block(text: str) -> str:
    """Return a text of several lines as it stands, within Markdown."""
    shown = text[:_LONGEST_TEXT]
    fence = "`" * max(3, 1 + max(map(len, _FENCES.findall(shown)), default=0))
    return f"{fence}\n{shown}\n{fence}"


def _escaped(value: object) -> str:
    """Return a text of the run that is no markup in Markdown."""
    text = "" if value is None else " ".join(str(value)[:_LONGEST_TEXT].split())
    return _SPECIAL.sub(r"\\\1", html.escape(text, quote=False))
