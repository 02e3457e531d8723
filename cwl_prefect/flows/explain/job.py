"""What a step's container or process will be, and where each field comes from, without running anything."""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from pydantic import JsonValue

from cwl_prefect.backends.job_template.job_variables import (
    JobVariables,
    Layer,
    Origin,
    packaged_template,
)
from cwl_prefect.backends.job_template.provenance import (
    FieldPath,
    origins,
    whole_blocks,
    without_blocks,
    without_secrets,
)
from cwl_prefect.cwl.binding.bind import docker_requirement
from cwl_prefect.engine.staging.workspace import run_directory
from cwl_prefect.engine.workflow.overrides import override_tool, tool_steps
from cwl_prefect.errors import BackendError, UnsupportedError
from cwl_prefect.flows.build import prepared
from cwl_prefect.flows.execution.attempt import Attempt, Ready, Refused
from cwl_prefect.flows.execution.run import Run
from cwl_prefect.flows.execution.work_pool import (
    DOCKER,
    KUBERNETES,
    PROCESS,
    StepsPool,
    demanded,
    job_variables,
    runs_of,
    stated_runs,
    with_overrides,
)
from cwl_prefect.flows.explain.configurations import Configuration, configurations
from cwl_prefect.flows.explain.foresee import Foreseen, Foresight
from cwl_prefect.flows.explain.shown_run import FLOW_RUN, shown_run
from cwl_prefect.model.job import BoundCall, ContainerJob, EntryKind, Resources, StagedEntry
from cwl_prefect.model.overrides import ToolOverride
from cwl_prefect.model.plan import ProcessClass, ToolPlan, WorkflowPlan
from cwl_prefect.model.values import CwlObject
from cwl_prefect.settings import Settings

OURS, DOCUMENT, OVERRIDE = "cwl-prefect", "CWL document", "step override"

_COPIES: Mapping[EntryKind, EntryKind] = {
    EntryKind.WRITABLE_FILE: EntryKind.WRITABLE_LITERAL,
    EntryKind.WRITABLE_DIRECTORY: EntryKind.EMPTY_DIRECTORY,
}
_NOTES: Mapping[str, tuple[str, ...]] = {
    KUBERNETES: (
        "the entry point of the image, which is looked up when the step runs, stands before the tool's command",
        "inputs that do not lie on the shared volume are copied to it first",
        "the first pod that finds no launcher on the volume gets an init container that brings it",
    )
}
_RUNTIME_VARIABLES = ("HOME", "TMPDIR", "PATH")


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What a call of a step will be.

    Attributes:
        call: Name of the call.
        runs_as: ``process``, ``docker`` or ``kubernetes``.
        pool: Work pool whose template it is, if any.
        configuration: The container, Job or process as it is handed over; credentials are hidden.
        origins: Where each field came from.
        overrides: Overrides for this step, weakest first.
        unknown: Inputs that are not known before a run, and why; placeholders stand for them.
        notes: What else there is to say.
    """

    call: str
    runs_as: str
    pool: str | None
    configuration: Configuration
    origins: Mapping[FieldPath, str]
    overrides: tuple[str, ...]
    unknown: Mapping[str, str]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is to be explained.

    Attributes:
        plan: The workflow.
        order: Its job order.
        step: Path of a step without indexes.
        settings: Settings of the run.
        pool: Work pool whose template steps use; None: this machine.
    """

    plan: WorkflowPlan
    order: CwlObject
    step: str
    settings: Settings
    pool: StepsPool | None = None


async def explain_job(question: Question) -> Explanation:
    """Explain the first call of a step.

    Raises:
        UsageError: There is no such step, or an override is wrong.
        InputError: The job order does not fit.
        UnsupportedError: The step runs no command, or there is no such pool type.
        BackendError: The pool's template is not valid.
    """
    pool = None if question.pool is None else _without_blocks(question.pool)
    settings = demanded(question.settings, question.plan, pool)
    variables = job_variables(settings, pool)
    changed = with_overrides(question.plan, variables, pool, settings)
    order = prepared(question.plan, question.order, settings)
    with tempfile.TemporaryDirectory(prefix="cwl-prefect-explain-") as name:
        runs = Path(name).resolve()
        foreseen = _foreseen(question, order, run_directory(runs, FLOW_RUN) / "UNKNOWN")
        if foreseen.call.tool.process_class is not ProcessClass.COMMAND_LINE_TOOL:
            raise UnsupportedError(f"{question.step} runs no command: it is an {foreseen.call.tool.process_class}.")
        tool = next(step.run for path, step in tool_steps(changed) if path == question.step)
        assert isinstance(tool, ToolPlan)  # noqa: S101
        with shown_run(question.plan, order, settings, pool, runs) as run:
            explaining = _Explaining(run=run, settings=settings, pool=pool, foreseen=foreseen)
            return await explaining.explanation(tool, variables, question.step)


def _foreseen(question: Question, order: CwlObject, directory: Path) -> Foreseen:
    directory.mkdir(parents=True)
    foresight = Foresight(
        directory=directory,
        ontology=question.plan.ontology,
    )
    return foresight.step(question.plan, order, question.step)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """A call that was prepared and staged, and what there is to say of it."""

    job: ContainerJob
    runs_as: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Explaining:
    run: Run
    settings: Settings
    pool: StepsPool | None
    foreseen: Foreseen

    async def explanation(self, tool: ToolPlan, variables: JobVariables, step: str) -> Explanation:
        """Explain one call of a tool.

        Raises:
            BackendError: What runs it is not installed.
            CwlPrefectError: The call cannot be bound, or a job variable is wrong.
        """
        final = await self._shown(tool)
        written = final if tool is self.foreseen.call.tool else await self._as_written(tool, final.runs_as)
        configure = configurations(self.settings, self.pool, self.runs)[final.runs_as]
        try:
            stages = [
                (origin, await configure(layers, job))
                for origin, layers, job in _stages(variables, written.job, final.job, _bare(final.runs_as))
            ]
        except ImportError as error:
            hint = f"pip install 'cwl-prefect[{final.runs_as}]'"
            raise BackendError(f"support for {final.runs_as} is not installed: {error}", hint=hint) from error
        notes = (*self.foreseen.notes, *final.notes, *_NOTES.get(final.runs_as, ()), *self._place_note(final.runs_as))
        return Explanation(
            call=self.foreseen.call.name,
            runs_as=final.runs_as,
            pool=None if self.pool is None else self.pool.name,
            configuration=cast("Configuration", without_secrets(stages[-1][1])),
            origins=origins(stages),
            overrides=tuple(f"{found.source}: {found.pattern}" for found in variables.overrides_of(step)),
            unknown=self.foreseen.unknown,
            notes=notes,
        )

    @property
    def runs(self) -> Path:
        """Where all workspaces will be."""
        return runs_of(self.settings, self.pool).resolve()

    def _place_note(self, runs_as: str) -> Iterator[str]:
        """Return whose directory for workspaces decides the volume, where a run on this machine would have another."""
        if runs_as != KUBERNETES or self.settings.workdir is not None or self.pool is None:
            return
        if stated := stated_runs(self.pool):
            yield f"workspaces are in {stated}, as in flow runs on the pool; for `run --steps-pool` give its --workdir"

    async def _shown(self, tool: ToolPlan) -> _Shown:
        """Prepare and stage the call as a run does, in directories that are thrown away."""
        attempt = Attempt(run=self.run, call=replace(self.foreseen.call, tool=tool))
        prepared = await attempt.prepare()
        if isinstance(prepared, Refused):
            if not self.foreseen.unknown:
                raise prepared.error
            shown = await self._shown(_without_inputs(tool))
            why = prepared.error.message.splitlines()[0]
            return replace(shown, notes=(f"the command line cannot be told with placeholders: {why}",))
        assert isinstance(prepared, Ready)  # noqa: S101 - nothing is looked up
        bound = prepared.bound
        ready = replace(prepared, bound=replace(bound, call=_without_copies(bound.call)))
        async with ready.lease:
            job = _placed(attempt.stage(ready), self.run.runs, self.runs)
        return _Shown(job=job, runs_as=ready.backend.name)

    async def _as_written(self, tool: ToolPlan, runs_as: str) -> _Shown:
        """Show the call without overrides; where only these name an image, it has none, yet is contained."""
        written = self.foreseen.call.tool
        if runs_as == PROCESS or docker_requirement(written)[0] is not None:
            return await self._shown(written)
        image, _ = docker_requirement(tool)
        contained = await self._shown(override_tool(written, ToolOverride(image=None if image is None else image.name)))
        return replace(contained, job=replace(contained.job, image=None))


def _without_inputs(tool: ToolPlan) -> ToolPlan:
    """Return a tool of which everything is left out that may depend on inputs: it runs UNKNOWN in the same image."""
    bare: dict[str, JsonValue] = {"class": "CommandLineTool", "baseCommand": "UNKNOWN", "inputs": [], "outputs": []}
    requirements, hints = (
        tuple(entry for entry in entries if entry["class"] == "DockerRequirement")
        for entries in (tool.requirements, tool.hints)
    )
    return replace(
        tool,
        digest=f"{tool.digest}-without-inputs",
        document=bare,
        requirements=requirements,
        hints=hints,
        inputs=(),
        outputs=(),
    )


def _placed(job: ContainerJob, before: Path, after: Path) -> ContainerJob:
    """Put paths as they will be in place of those that were used to find out."""

    def text(value: str) -> str:
        """Put the place into a text."""
        return value.replace(str(before), str(after))

    def path(value: Path) -> Path:
        """Put the place into a path."""
        return Path(text(str(value)))

    return replace(
        job,
        command=tuple(map(text, job.command)),
        env={name: text(value) for name, value in job.env.items()},
        mounts=tuple(replace(mount, source=path(mount.source)) for mount in job.mounts),
        workdir=text(job.workdir),
        stdin=None if job.stdin is None else path(job.stdin),
        stdout=path(job.stdout),
        stderr=path(job.stderr),
    )


def _bare(runs_as: str) -> JobVariables:
    """Return the job variables that make a container without any pool."""
    if runs_as == KUBERNETES:
        from cwl_prefect.backends.kubernetes.manifest.defaults import without_volumes

        return JobVariables(template=without_volumes(packaged_template(KUBERNETES)))
    return JobVariables(
        template=packaged_template(DOCKER), layers=(Layer(origin=Origin.TEMPLATE, variables={"volumes": []}),)
    )


def _stages(
    variables: JobVariables, written: ContainerJob, final: ContainerJob, bare: JobVariables
) -> list[tuple[str, JobVariables, ContainerJob]]:
    """Return ever more of what makes a container: nothing, the template, each layer, the document, the overrides."""
    blank = replace(
        written,
        command=(),
        env={name: value for name, value in written.env.items() if name in _RUNTIME_VARIABLES},
        image=None,
        resources=Resources(),
        network=False,
        timeout_s=None,
    )
    common = replace(variables, for_single_steps=False)
    stages = [(OURS, bare, blank)]
    kept: list[Layer] = []
    for origin in (Origin.TEMPLATE, Origin.DEPLOYMENT, Origin.RUN):
        kept += [layer for layer in variables.layers if layer.origin is origin]
        stages.append((origin.value, replace(common, layers=tuple(kept)), blank))
    stages.append((DOCUMENT, common, written))
    stages.append((OVERRIDE, variables, final))
    return stages


def _without_copies(call: BoundCall) -> BoundCall:
    """Let nothing be copied: what a call may write is as good empty."""
    if call.inplace_update:
        return call

    def bare(entry: StagedEntry) -> StagedEntry:
        """Return an entry as something empty, where it would be a copy."""
        return replace(entry, kind=_COPIES[entry.kind], source="") if entry.kind in _COPIES else entry

    return replace(call, entries=tuple(bare(entry) for entry in call.entries))


def _without_blocks(pool: StepsPool) -> StepsPool:
    """Leave out what Prefect blocks hold: credentials, most of the time."""
    template = dict(pool.base_job_template)
    configuration = template.get("job_configuration")
    if isinstance(configuration, dict):
        template["job_configuration"] = _unset_blocks(configuration)
    schema = template.get("variables")
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if isinstance(schema, dict) and isinstance(properties, dict):
        defaults = {name: each.get("default") for name, each in properties.items() if isinstance(each, dict)}
        kept = _unset_blocks(defaults)
        changed: dict[str, JsonValue] = {
            name: {**each, "default": kept[name]} if isinstance(each, dict) and "default" in each else each
            for name, each in properties.items()
        }
        template["variables"] = {**schema, "properties": changed}
    layers = tuple(replace(layer, variables=_unset_blocks(layer.variables)) for layer in pool.layers)
    return replace(pool, base_job_template=template, layers=layers)


def _unset_blocks(variables: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    whole = whole_blocks(variables)
    return {name: None if name in whole else without_blocks(value) for name, value in variables.items()}
