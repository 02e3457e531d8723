"""What a step's container or process will be, and where each field comes from, without running anything."""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from pydantic import JsonValue

from cwl_prefect.backends.job_variables import (
    STEP_PATTERNS,
    STEP_VARIABLES,
    JobVariables,
    Layer,
    Origin,
    packaged_template,
)
from cwl_prefect.backends.naming import FLOW_RUN_LABEL, STEP_LABEL
from cwl_prefect.backends.provenance import FieldPath, origins, whole_blocks, without_blocks, without_secrets
from cwl_prefect.cwl.bind import Binder, Place, docker_requirement
from cwl_prefect.engine import workspace as workspaces
from cwl_prefect.engine.overrides import override_tool, tool_steps
from cwl_prefect.engine.stage import stage
from cwl_prefect.errors import BackendError, CwlPrefectError, UnsupportedError
from cwl_prefect.flows.build import prepared
from cwl_prefect.flows.configurations import Configuration, configurations
from cwl_prefect.flows.foresee import Foreseen, Foresight, with_placeholders_beside
from cwl_prefect.flows.pool import (
    DOCKER,
    KUBERNETES,
    PROCESS,
    StepsPool,
    job_variables,
    on_kubernetes,
    runs_of,
    stated_runs,
    with_overrides,
)
from cwl_prefect.model.job import BoundCall, ContainerJob, EntryKind, Resources, StagedEntry
from cwl_prefect.model.names import call_name
from cwl_prefect.model.overrides import ToolOverride
from cwl_prefect.model.plan import ProcessClass, ToolPlan, WorkflowPlan
from cwl_prefect.model.values import CwlObject
from cwl_prefect.settings import BackendName, Settings, search_path

FLOW_RUN = "FLOW-RUN-ID"
"""Stands for the identifier that the flow run will have."""

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
    settings, pool = question.settings, None if question.pool is None else _without_blocks(question.pool)
    variables = job_variables(settings, pool)
    changed = with_overrides(question.plan, variables, pool, settings)
    with tempfile.TemporaryDirectory(prefix="cwl-prefect-explain-") as name:
        directory = Path(name).resolve()
        unknown = directory / "UNKNOWN"
        unknown.mkdir()
        foresight = Foresight(
            directory=unknown, ontology=question.plan.ontology, timeout_s=settings.javascript_timeout_s
        )
        order = prepared(question.plan, question.order, settings)
        foreseen = with_placeholders_beside(foresight.step(question.plan, order, question.step), unknown)
        if foreseen.tool.process_class is not ProcessClass.COMMAND_LINE_TOOL:
            raise UnsupportedError(f"{question.step} runs no command: it is an {foreseen.tool.process_class}.")
        tool = next(step.run for path, step in tool_steps(changed) if path == question.step)
        assert isinstance(tool, ToolPlan)  # noqa: S101
        explaining = _Explaining(settings=settings, pool=pool, foreseen=foreseen, directory=directory)
        return await explaining.explanation(tool, variables, question.step)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Explaining:
    settings: Settings
    pool: StepsPool | None
    foreseen: Foreseen
    directory: Path

    async def explanation(self, tool: ToolPlan, variables: JobVariables, step: str) -> Explanation:
        """Explain one call of a tool.

        Raises:
            BackendError: What runs it is not installed.
            CwlPrefectError: The call cannot be bound, or a job variable is wrong.
        """
        runs_as = self._runs_as(tool)
        call = call_name(self.foreseen.step, self.foreseen.index)
        notes = list(self.foreseen.notes)
        final = self._job(tool, runs_as, notes)
        written = final if tool is self.foreseen.tool else self._as_written(tool, runs_as)
        configure = configurations(self.settings, self.pool, self.there.parents[2])[runs_as]
        try:
            stages = [
                (origin, await configure(layers, job))
                for origin, layers, job in _stages(variables, written, final, _bare(runs_as))
            ]
        except ImportError as error:
            hint = f"pip install 'cwl-prefect[{runs_as}]'"
            raise BackendError(f"support for {runs_as} is not installed: {error}", hint=hint) from error
        return Explanation(
            call=call,
            runs_as=runs_as,
            pool=None if self.pool is None else self.pool.name,
            configuration=cast("Configuration", without_secrets(stages[-1][1])),
            origins=origins(stages),
            overrides=tuple(f"{found.source}: {found.pattern}" for found in variables.overrides_of(step)),
            unknown=self.foreseen.unknown,
            notes=(*notes, *_NOTES.get(runs_as, ()), *self._place_note(runs_as)),
        )

    def _runs_as(self, tool: ToolPlan) -> str:
        image, required = docker_requirement(tool)
        if on_kubernetes(self.settings, self.pool) and (image or self.settings.kubernetes_default_image):
            return KUBERNETES
        if image is None or (self.settings.backend is BackendName.LOCAL and not required):
            return PROCESS
        if self.pool is not None and self.pool.type not in (DOCKER, KUBERNETES, PROCESS):
            raise UnsupportedError(f"Steps cannot run on a work pool of type {self.pool.type}.")
        return DOCKER

    def _place_note(self, runs_as: str) -> Iterator[str]:
        """Tell whose directory for workspaces decides the volume, where a run on this machine would have another."""
        if runs_as != KUBERNETES or self.settings.workdir is not None or self.pool is None:
            return
        if stated := stated_runs(self.pool):
            yield f"workspaces are in {stated}, as in flow runs on the pool; for `run --steps-pool` give its --workdir"

    def _job(self, tool: ToolPlan, runs_as: str, notes: list[str]) -> ContainerJob:
        """Bind and stage the call, in directories that are thrown away."""
        space = workspaces.Workspace(root=Path(tempfile.mkdtemp(dir=self.directory, prefix="workspace-")))
        workspaces.create(space)
        name = call_name(self.foreseen.step, self.foreseen.index)
        contained = runs_as != PROCESS
        place = Place(
            outdir=space.out,
            tmpdir=space.tmp,
            stagedir=space.stage,
            containers=contained,
            mounts=contained,
            search_path=search_path(),
            default_image=self.settings.kubernetes_default_image if runs_as == KUBERNETES else None,
        )
        binder = Binder(expression_timeout_s=self.settings.javascript_timeout_s, checksum=False)
        try:
            call = binder.bind(tool, self.foreseen.values, place, name=name).call
        except CwlPrefectError as error:
            if not self.foreseen.unknown:
                raise
            notes.append(f"the command line cannot be told with placeholders: {error.message.splitlines()[0]}")
            call = _unbound(tool, place, contained=contained)
        staged = stage(
            _without_copies(replace(call, timeout_s=call.timeout_s or self.settings.step_timeout_s)),
            space,
            job_id=f"{FLOW_RUN}-{name}-1",
            name=name,
            mounts=contained,
            labels={FLOW_RUN_LABEL: FLOW_RUN, STEP_LABEL: name},
        )
        return _placed(staged, {space.root: self.there, self.directory: self.there.parents[1]})

    @property
    def there(self) -> Path:
        """Where the workspace of the call will be."""
        return workspaces.locate(
            runs_of(self.settings, self.pool), FLOW_RUN, self.foreseen.step, self.foreseen.index
        ).root

    def _as_written(self, tool: ToolPlan, runs_as: str) -> ContainerJob:
        """Give the job without overrides; where only these name an image, it has none but is contained all the same."""
        written = self.foreseen.tool
        if runs_as == PROCESS or docker_requirement(written)[0] is not None:
            return self._job(written, runs_as, [])
        image, _ = docker_requirement(tool)
        contained = override_tool(written, ToolOverride(image=None if image is None else image.name))
        return replace(self._job(contained, runs_as, []), image=None)


def _placed(job: ContainerJob, places: Mapping[Path, Path]) -> ContainerJob:
    """Put paths as they will be in place of those that were used to find out."""

    def text(value: str) -> str:
        """Put the places into a text."""
        for before, after in places.items():
            value = value.replace(str(before), str(after))
        return value

    def path(value: Path) -> Path:
        """Put the places into a path."""
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
    """Give the job variables that make a container without any pool."""
    if runs_as == KUBERNETES:
        from cwl_prefect.backends.kubernetes_manifest import without_volumes

        return JobVariables(template=without_volumes(packaged_template(KUBERNETES)))
    return JobVariables(
        template=packaged_template(DOCKER), layers=(Layer(origin=Origin.TEMPLATE, variables={"volumes": []}),)
    )


def _stages(
    variables: JobVariables, written: ContainerJob, final: ContainerJob, bare: JobVariables
) -> list[tuple[str, JobVariables, ContainerJob]]:
    """Give ever more of what makes a container: nothing, the template, each layer, the document, the overrides."""
    blank = replace(
        written,
        command=(),
        env={name: value for name, value in written.env.items() if name in _RUNTIME_VARIABLES},
        image=None,
        resources=Resources(),
        network=False,
        timeout_s=None,
    )
    plain = tuple(_without_patterns(layer) for layer in variables.layers)
    template = _template_without_patterns(variables.template)
    stages = [(OURS, bare, blank)]
    kept: list[Layer] = []
    for origin in (Origin.TEMPLATE, Origin.DEPLOYMENT, Origin.RUN):
        kept += [layer for layer in plain if layer.origin is origin]
        stages.append((origin.value, JobVariables(template=template, layers=tuple(kept)), blank))
    stages.append((DOCUMENT, JobVariables(template=template, layers=plain), written))
    stages.append((OVERRIDE, variables, final))
    return stages


def _unbound(tool: ToolPlan, place: Place, *, contained: bool) -> BoundCall:
    image, required = docker_requirement(tool)
    return BoundCall(
        command=("UNKNOWN",),
        env={},
        entries=(),
        outdir="/var/spool/cwl" if contained else str(place.outdir),
        tmpdir="/tmp" if contained else str(place.tmpdir),  # noqa: S108 - inside the container
        stdin=None,
        stdout=None,
        stderr=None,
        image=image if contained else None,
        resources=Resources(),
        any_path=required,
    )


def _without_copies(call: BoundCall) -> BoundCall:
    """Let nothing be copied: what a call may write is as good empty."""
    if call.inplace_update:
        return call

    def bare(entry: StagedEntry) -> StagedEntry:
        """Give an entry as something empty, where it would be a copy."""
        return replace(entry, kind=_COPIES[entry.kind], source="") if entry.kind in _COPIES else entry

    return replace(call, entries=tuple(bare(entry) for entry in call.entries))


def _without_patterns(layer: Layer) -> Layer:
    members = {name: value for name, value in layer.for_steps.items() if name != STEP_PATTERNS}
    return replace(layer, variables={**layer.variables, STEP_VARIABLES: members})


def _template_without_patterns(template: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    schema = template.get("variables")
    properties = schema.get("properties") if isinstance(schema, dict) else None
    own = properties.get(STEP_VARIABLES) if isinstance(properties, dict) else None
    default = own.get("default") if isinstance(own, dict) else None
    if not isinstance(default, dict) or STEP_PATTERNS not in default:
        return template
    members = {name: value for name, value in default.items() if name != STEP_PATTERNS}
    changed = {**properties, STEP_VARIABLES: {**own, "default": members}}  # type: ignore[dict-item]
    return {**template, "variables": {**schema, "properties": changed}}  # type: ignore[dict-item]


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
