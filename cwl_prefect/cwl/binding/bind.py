"""Bind one call of a tool to its inputs: every expression evaluated, every path settled, nothing run."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cwl_prefect.cwl.access.host_files import EVERYTHING, HostFiles
from cwl_prefect.cwl.binding import resources, surroundings, working_directory
from cwl_prefect.cwl.binding.collect import Collection, collected
from cwl_prefect.cwl.binding.command_line import command_line
from cwl_prefect.cwl.binding.output_directory import OutputDirectory
from cwl_prefect.cwl.binding.outputs import OutputPlaces
from cwl_prefect.cwl.binding.staged import Staged, move, stage
from cwl_prefect.cwl.binding.updates import CHANGEABLE, Updates, in_place, updates_in_place
from cwl_prefect.cwl.javascript import engine
from cwl_prefect.cwl.javascript.expressions import Scope, Script, script_of
from cwl_prefect.cwl.javascript.reads import Recorder
from cwl_prefect.cwl.javascript.scanner import has_javascript
from cwl_prefect.cwl.values import files
from cwl_prefect.cwl.values.complete import Completion, completed, demand_readable
from cwl_prefect.cwl.values.errors import call_errors
from cwl_prefect.cwl.values.formats import Ontology
from cwl_prefect.cwl.values.places import NamedPlaces
from cwl_prefect.cwl.values.type_errors import shown
from cwl_prefect.cwl.values.types import Parameter, parameters
from cwl_prefect.errors import StepError, UnsupportedError
from cwl_prefect.model.job import BoundCall, DockerImage, EntryKind, Resources
from cwl_prefect.model.plan import Places, ProcessClass, ToolPlan, named_types, requirement
from cwl_prefect.model.values import CwlObject, as_object

Collect = Callable[[Path, int], CwlObject]

CONTAINER_OUTDIR = "/var/spool/cwl"
CONTAINER_TMPDIR = "/tmp"  # noqa: S108 - inside the container
CONTAINER_STAGEDIR = "/var/lib/cwl"

PATIENCE_S = 0.02  # for all JavaScript of one call, on the event loop
MOST_TRIALS = 5
HOPS = 50  # to a thread take as long as a trial in vain

_ORIGINALS = (EntryKind.FILE, EntryKind.WRITABLE_FILE, EntryKind.DIRECTORY, EntryKind.WRITABLE_DIRECTORY)
_MPI = "http://commonwl.org/cwltool#MPIRequirement"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a call will run, as far as binding must know."""

    outdir: Path  # directories of this machine, made by staging
    tmpdir: Path
    stagedir: Path
    containers: bool  # whether an image that the tool names will be used
    mounts: bool = True  # whether a container shows files at other paths than this machine
    search_path: str  # PATH of tools that run as processes here
    default_image: str | None = None  # for a tool that names none; only where there are containers
    least_ram_mib: float | None = None  # known need of the call; raises what the document asks for
    recording: bool = True  # whether somebody asks what expressions read


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A described call, and what collects its outputs from an output directory, knowing the exit code.

    Attributes:
        call: The call.
        collect: Collects its outputs.
        recorder: What its expressions read, those of its outputs too once they are collected; None: nobody asks.
    """

    call: BoundCall
    collect: Collect
    recorder: Recorder | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What is known of a tool before any call."""

    inputs: tuple[Parameter, ...]
    outputs: tuple[Parameter, ...]
    script: Script
    load_listing: str | None
    shell: bool
    changes_inputs: bool
    binds_quickly: bool  # by no JavaScript, which may take its whole time limit
    collects_quickly: bool  # likewise


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """A call on its way to its description: its files are where it finds them, and expressions see them there."""

    tool: ToolPlan
    facts: _Facts
    image: DockerImage | None
    docker_required: bool
    staged: Staged
    scope: Scope
    resources: Resources


class Binder:
    """Binds the calls of one run; facts of tools and the state of in-place updates are kept between calls."""

    def __init__(
        self,
        *,
        ontology: Ontology = (),
        checksum: bool = True,
        places: Callable[[str], Places] | None = None,
        host_files: HostFiles = EVERYTHING,
    ) -> None:
        self.host_files = host_files
        self._ontology = ontology
        self._checksum = checksum
        self._places = cache(places or (lambda _: {}))  # of a tool, by its digest
        self._facts: dict[str, _Facts] = {}
        self._updates = Updates()
        self._lost: Counter[str] = Counter()  # hops to a thread that trials in vain took, less those that were saved

    def bind(self, tool: ToolPlan, inputs: CwlObject, place: Place, *, name: str) -> Bound:
        """Describe one call of a command line tool.

        Raises:
            InputError: The inputs do not fit the tool.
            ExpressionError: An expression failed.
            StepError: The call cannot be described, for instance because its command line is empty.
        """
        with call_errors(name, places=self._places(tool.digest)):
            call = self._prepared(tool, inputs, place)
            described = in_place(_described(call, place), self.host_files)
            if call.facts.changes_inputs:
                self._begin_update(call, described)
        return Bound(call=described, collect=self._collect(call, described, name), recorder=call.scope.recorder)

    def bind_at_once(self, tool: ToolPlan, inputs: CwlObject, place: Place, *, name: str) -> Bound | None:
        """Describe one call as ``bind`` does, where that keeps an event loop waiting for moments only.

        JavaScript may take its whole time limit, yet most of it takes less time than a hop to a thread.

        Returns:
            None where ``bind`` is to be called in a thread: the JavaScript took too long, or may do so.
        """
        with call_errors(name, places=self._places(tool.digest)):
            facts = self._known(tool)
        if facts.binds_quickly:
            return self.bind(tool, inputs, place, name=name)
        if self._lost[tool.digest] >= MOST_TRIALS * HOPS or facts.changes_inputs:
            return None
        try:
            with engine.at_once(PATIENCE_S):
                bound = self.bind(tool, inputs, place, name=name)
        except engine.NoneIdle:
            return None  # which says nothing of its JavaScript
        except engine.TookLong:
            self._lost[tool.digest] += HOPS
            return None
        self._lost[tool.digest] = max(0, self._lost[tool.digest] - 1)
        return bound

    def evaluate(self, tool: ToolPlan, inputs: CwlObject, *, name: str) -> CwlObject:
        """Return the outputs of an ExpressionTool.

        Raises:
            InputError: The inputs do not fit the tool.
            ExpressionError: The expression failed.
            UnsupportedError: The process is an Operation, which cannot be run.
        """
        if tool.process_class is ProcessClass.OPERATION:
            raise UnsupportedError(
                f"{name}: an Operation describes a step but says not how to run it.",
                hint="Replace the Operation by a CommandLineTool, ExpressionTool or Workflow.",
            )
        with call_errors(name, places=self._places(tool.digest)):
            facts = self._known(tool)
            values = completed(facts.inputs, inputs, self._completion(facts, {"outdir": None, "tmpdir": None}))
            scope = Scope(inputs=values, runtime={"outdir": None, "tmpdir": None}, script=facts.script)
            outputs = files.map_files(scope.evaluate(tool.document["expression"]), files.settled)
            self.host_files.demand(outputs)
        return expression_outputs(outputs, tool, name)

    def collects_quickly(self, tool: ToolPlan) -> bool:
        """Check whether collecting the outputs of a tool that was bound starts no JavaScript."""
        return self._known(tool).collects_quickly

    def demand_readable(self, tool: ToolPlan, inputs: CwlObject, *, name: str) -> None:
        """Raise an InputError where a file that the inputs of a call name may not be read, before any is."""
        with call_errors(name):
            demand_readable(self._known(tool).inputs, inputs, self.host_files)

    def _known(self, tool: ToolPlan) -> _Facts:
        if tool.digest not in self._facts:
            self._facts[tool.digest] = _facts(tool)
        return self._facts[tool.digest]

    def _completion(self, facts: _Facts, runtime: Mapping[str, Any], recorder: Recorder | None = None) -> Completion:
        return Completion(
            script=facts.script,
            runtime=runtime,
            ontology=self._ontology,
            discover=False,
            load_listing=facts.load_listing,
            host_files=self.host_files,
            recorder=recorder,
        )

    def _prepared(self, tool: ToolPlan, inputs: CwlObject, place: Place) -> _Call:
        """Put a call's files where it finds them, and settle what it may use."""
        facts = self._known(tool)
        image, docker_required = _image(tool, place)
        for archive in filter(None, () if image is None else (image.load, image.import_)):
            self.host_files.demand_location(archive)
        inside = image is not None and place.mounts
        outdir, tmpdir, stagedir = _directories(tool, place, inside=inside)
        directories = () if inside else (outdir, tmpdir, stagedir)
        recorder = Recorder(directories=directories) if place.recording else None
        runtime: dict[str, Any] = {"outdir": outdir, "tmpdir": tmpdir}
        values = completed(facts.inputs, inputs, self._completion(facts, runtime, recorder))
        before = Scope(inputs=values, runtime=runtime, script=facts.script, recorder=recorder)
        asked = resources.resources(tool, before, least_ram_mib=place.least_ram_mib)
        runtime |= resources.runtime_of(asked)
        staged = stage(values, stagedir)
        scope = Scope(inputs=staged.values, runtime=runtime, script=facts.script, recorder=recorder)
        placed = tuple(working_directory.placed(tool, scope, staged, docker_required=docker_required))
        self.host_files.demand([each.found for each in placed])
        if placed:
            staged = move(staged, placed, outdir)
            scope = Scope(inputs=staged.values, runtime=runtime, script=facts.script, recorder=recorder)
        if image is None:
            resources.check_gpus(tool, asked.gpus)
        return _Call(
            tool=tool,
            facts=facts,
            image=image,
            docker_required=docker_required,
            staged=staged,
            scope=scope,
            resources=asked,
        )

    def _begin_update(self, call: _Call, described: BoundCall) -> None:
        """Note which files a call reads and which it changes in place."""
        writable = {entry.target for entry in described.entries if entry.kind in CHANGEABLE}
        found = [each for each in call.staged.known().values() if not files.is_literal(each)]
        changed = [each for each in found if str(each["path"]) in writable and described.inplace_update]
        self._updates.begin(changed, found)

    def _collect(self, call: _Call, described: BoundCall, name: str) -> Collect:
        def collect(outdir: Path, exit_code: int) -> CwlObject:
            """Collect the outputs from an output directory, knowing the exit code."""
            inputs = tuple(str(Path(entry.source).resolve()) for entry in described.entries if entry.kind in _ORIGINALS)
            places = OutputPlaces(
                outdir=described.outdir,
                directory=OutputDirectory(root=str(outdir), inputs=inputs),
                known=call.staged.known(),
                entries={entry.target: entry for entry in described.entries},
                named=NamedPlaces.of(call.staged.values),
                checksum=self._checksum,
            )
            here = call.scope
            if here.recorder is not None:
                here.recorder.collects(str(outdir))
            code = {} if call.tool.cwl_version == "v1.0" else {"exitCode": exit_code}
            runtime = {**here.runtime, **code}
            scope = Scope(inputs=here.inputs, runtime=runtime, script=here.script, recorder=here.recorder)
            how = Collection(ports=call.facts.outputs, scope=scope, places=places, load_listing=call.facts.load_listing)
            outputs = collected(how, name=name, written=self._places(call.tool.digest))
            if not call.facts.changes_inputs:
                return outputs
            return as_object(files.map_files(outputs, self._updates.marked))

        return collect


def _facts(tool: ToolPlan) -> _Facts:
    named = named_types((*tool.hints, *tool.requirements))
    document: Any = tool.document
    listing: Any = requirement(tool.requirements, tool.hints, "LoadListingRequirement") or {}
    inward = {key: value for key, value in tool.document.items() if key != "outputs"}
    requirements = [entry for entry in tool.requirements if entry["class"] != "InlineJavascriptRequirement"]
    return _Facts(
        inputs=parameters(document["inputs"], named),
        outputs=parameters(document["outputs"], named),
        script=script_of(tool.requirements, cwl_version=tool.cwl_version),
        load_listing=listing.get("loadListing"),
        shell=requirement(tool.requirements, tool.hints, "ShellCommandRequirement") is not None,
        changes_inputs=updates_in_place(tool),
        binds_quickly=not has_javascript([inward, requirements, tool.hints]),
        collects_quickly=not has_javascript(tool.document["outputs"]),
    )


def _directories(tool: ToolPlan, place: Place, *, inside: bool) -> tuple[str, str, str]:
    """Return the output, temporary and staging directory of a call as it sees them."""
    if not inside:
        return str(place.outdir), str(place.tmpdir), str(place.stagedir)
    docker = requirement(tool.requirements, tool.hints, "DockerRequirement") or {}
    return str(docker.get("dockerOutputDirectory") or CONTAINER_OUTDIR), CONTAINER_TMPDIR, CONTAINER_STAGEDIR


def docker_requirement(tool: ToolPlan) -> tuple[DockerImage | None, bool]:
    """Return the image that a tool asks for, and whether it is required rather than hinted."""
    found = requirement(tool.requirements, tool.hints, "DockerRequirement")
    if found is None:
        return None, False
    image = DockerImage(
        pull=_optional(found.get("dockerPull")),
        load=_optional(found.get("dockerLoad")),
        file=_optional(found.get("dockerFile")),
        import_=_optional(found.get("dockerImport")),
        image_id=_optional(found.get("dockerImageId")),
    )
    required = any(entry["class"] == "DockerRequirement" for entry in tool.requirements)
    return image, required


def expression_outputs(value: Any, tool: ToolPlan, name: str) -> CwlObject:
    """Check that an expression gave an object with the declared outputs (CWL Workflow, §ExpressionTool)."""
    fields = ", ".join(port.id for port in tool.outputs)
    if not isinstance(value, Mapping):
        raise StepError(
            f"{name}: the expression gave {shown(value)}, expected an object of outputs.",
            step=name,
            hint=f"Return an object with the fields {fields}." if fields else "Return an empty object: `return {};`.",
        )
    missing = [port.id for port in tool.outputs if port.id not in value and not _nullable(port.type)]
    if missing:
        raise StepError(f"{name}: the expression did not give the output {missing[0]!r}.", step=name)
    return as_object({str(key): item for key, item in value.items()})


def _nullable(declared: Any) -> bool:
    return declared in ("null", "Any") or (isinstance(declared, list) and "null" in declared)


def _described(call: _Call, place: Place) -> BoundCall:
    tool, scope, image = call.tool, call.scope, call.image
    environment = surroundings.environment(tool, scope)
    if image is None:
        environment.setdefault("PATH", place.search_path)
    command = command_line(tool.document, call.facts.inputs, scope, shell=call.facts.shell)
    if not command:
        raise StepError(
            "the command line is empty.",
            hint="Give the tool a baseCommand, arguments, or an input with an inputBinding.",
        )
    update = requirement(tool.requirements, tool.hints, "InplaceUpdateRequirement") or {}
    return BoundCall(
        command=surroundings.launched(tool, command, scope),
        env=environment,
        entries=call.staged.entries,
        outdir=str(scope.runtime["outdir"]),
        tmpdir=str(scope.runtime["tmpdir"]),
        stdin=surroundings.stdin(tool, scope),
        stdout=surroundings.stream(tool, "stdout", scope),
        stderr=surroundings.stream(tool, "stderr", scope),
        image=image,
        resources=call.resources,
        network=surroundings.network(tool, scope),
        timeout_s=surroundings.time_limit_s(tool, scope),
        inplace_update=bool(update.get("inplaceUpdate")),
        any_path=call.docker_required,
        success_codes=_codes(tool, "successCodes"),
        temporary_fail_codes=_codes(tool, "temporaryFailCodes"),
        permanent_fail_codes=_codes(tool, "permanentFailCodes"),
    )


def _codes(tool: ToolPlan, name: str) -> frozenset[int]:
    codes: Any = tool.document.get(name) or ()
    return frozenset(codes)


def _image(tool: ToolPlan, place: Place) -> tuple[DockerImage | None, bool]:
    """Return the image that a call runs in, if any, and whether the tool insists on having one."""
    named, required = docker_requirement(tool)
    if not place.containers:
        return None, required
    if required and any(entry["class"] == _MPI for entry in tool.requirements):
        raise UnsupportedError("DockerRequirement and MPIRequirement cannot both be required.")
    if named is None and place.default_image is not None:
        return DockerImage(pull=place.default_image), required
    return named, required


def _optional(value: Any) -> str | None:
    return None if value is None else str(value)
