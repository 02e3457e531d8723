"""A call that ran, bound once more to what it was given: its command as a script, and its files for a shell."""

import re
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from cwl_prefect.cwl.javascript import engine
from cwl_prefect.engine.records.command_script import SCRIPT, ScriptOfCall
from cwl_prefect.engine.staging.workspace import Workspace, run_directory
from cwl_prefect.errors import CwlPrefectError, UnsupportedError
from cwl_prefect.flows.execution.attempt import Attempt, Call, Ready, Refused
from cwl_prefect.flows.explain.shown_run import shown_run
from cwl_prefect.model.job import ContainerJob
from cwl_prefect.model.plan import ProcessClass, ToolPlan, WorkflowPlan
from cwl_prefect.model.values import CwlObject
from cwl_prefect.settings import BackendName, Settings

_INDEX = re.compile(r"\[([\d,]+)\]\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class PastCall:
    """A call that ran.

    Attributes:
        run_id: Its flow run.
        plan: What was run.
        tool: What was called.
        name: Name of the call.
        inputs: What it was given.
        contained: Whether it ran in a container.
        image: Name of the image, where it is known.
    """

    run_id: str
    plan: WorkflowPlan
    tool: ToolPlan
    name: str
    inputs: CwlObject
    contained: bool
    image: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedCall:
    """A call whose files are in place, ready to be run by hand."""

    job: ContainerJob
    script: Path  # its command; in its temporary directory, which a container sees
    stdout: Path | None  # files that it names for its streams; None: it names none
    stderr: Path | None


async def script_of(past: PastCall, settings: Settings) -> str:
    """Return the command of a call as a script, with the paths that it had; nothing is staged or run.

    Raises:
        UnsupportedError: It ran no command.
        CwlPrefectError: It cannot be bound any more, as where an input is gone.
    """
    with tempfile.TemporaryDirectory(prefix="cwl-prefect-command-") as name:
        directory = Path(name).resolve()
        attempt, ready = await _prepared(past, settings, directory)
        place = Workspace(root=settings.runs.resolve() / ready.space.root.relative_to(directory))
        script = _script(attempt, ready, place).text()
        return script.replace(str(directory), str(settings.runs.resolve()))


async def stage_again(past: PastCall, settings: Settings, directory: Path) -> StagedCall:
    """Put the files of a call in place once more, in a directory of their own.

    Raises:
        UnsupportedError: It ran no command.
        CwlPrefectError: It cannot be bound or staged any more, as where an input is gone.
    """
    attempt, ready = await _prepared(past, settings, directory.resolve())
    job = attempt.stage(ready)
    script = ready.space.tmp / SCRIPT
    script.write_text(_script(attempt, ready, ready.space).text(), "utf-8", "surrogateescape")
    bound = ready.bound.call
    return StagedCall(
        job=job,
        script=script,
        stdout=None if bound.stdout is None else job.stdout,
        stderr=None if bound.stderr is None else job.stderr,
    )


def _script(attempt: Attempt, ready: Ready, after: Workspace) -> ScriptOfCall:
    return ScriptOfCall(
        name=attempt.call.name,
        call=ready.bound.call,
        secret=attempt.run.secret,
        before=ready.space,
        after=after,
    )


async def _prepared(past: PastCall, settings: Settings, runs: Path) -> tuple[Attempt, Ready]:
    if past.tool.process_class is not ProcessClass.COMMAND_LINE_TOOL:
        raise UnsupportedError(f"{past.name} ran no command: it is an {past.tool.process_class}.")
    engine.install(timeout_s=settings.javascript_timeout_s, memory_mib=settings.javascript_memory_mib)
    backend = BackendName.DOCKER if past.contained else BackendName.LOCAL
    image = past.image if past.contained and past.tool.image is None else settings.default_image
    own = settings.model_copy(update={"backend": backend, "default_image": image})
    found = _INDEX.search(past.name)
    index = tuple(map(int, found[1].split(","))) if found else ()
    step = past.name[: found.start()] if found else past.name
    with shown_run(past.plan, past.inputs, own, None, runs) as shown:
        run = replace(shown, run_id=past.run_id)
        attempt = Attempt(run=run, call=Call(tool=past.tool, values=past.inputs, step=step, index=index))
        prepared = await attempt.prepare()
        if isinstance(prepared, Refused):
            raise _of_gone(prepared.error, run_directory(settings.runs, past.run_id))
        assert isinstance(prepared, Ready)  # noqa: S101 - nothing is looked up
        await prepared.lease.aclose()
        return attempt, prepared


def _of_gone(error: CwlPrefectError, directory: Path) -> CwlPrefectError:
    """Return why a call cannot be bound, with what to do where it read what a step made whose workspaces are gone."""
    if str(directory) in error.message and not directory.is_dir():
        error.hint = (
            "the workspaces of this run are gone, as those of runs that succeed are: run the workflow with `--keep "
            "always`, which finds its calls in the cache."
        )
    return error
