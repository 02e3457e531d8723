"""Bind one call of a tool to its inputs: every expression evaluated, every path settled, nothing run."""

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import cwltool.process
from cwltool.context import RuntimeContext
from cwltool.cuda import cuda_check
from cwltool.mpi import MpiConfig
from cwltool.mutation import MutationManager
from cwltool.pathmapper import PathMapper
from cwltool.stdfsaccess import StdFsAccess
from cwltool.utils import normalizeFilesDirs, path_to_loc, visit_files_directories

from cwl_prefect.cwl import javascript
from cwl_prefect.cwl.collect import Collect, collector
from cwl_prefect.cwl.documents import has_javascript
from cwl_prefect.cwl.live import CallPathMapper, DescribedJob, LiveTools, Ontology, call_errors
from cwl_prefect.errors import InputError, StepError, UnsupportedError
from cwl_prefect.model.job import BoundCall, DockerImage, EntryKind, Resources, StagedEntry
from cwl_prefect.model.plan import ProcessClass, ToolPlan, requirement
from cwl_prefect.model.values import CwlObject, as_object

CONTAINER_OUTDIR = "/var/spool/cwl"
CONTAINER_TMPDIR = "/tmp"  # noqa: S108 - inside the container
CONTAINER_STAGEDIR = "/var/lib/cwl"

PATIENCE_S = 0.02  # for all JavaScript of one call, on the event loop
MOST_TRIALS = 5

_SIZE = re.compile(r"^\s*([0-9.]+)\s*([kmgt]?)i?b?\s*$", re.IGNORECASE)
_MEBIBYTES = {"": 1 / 2**20, "k": 1 / 2**10, "m": 1, "g": 2**10, "t": 2**20}


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A described call, and what collects its outputs.

    ``collect`` holds live objects: it must be used in the process, and at most once.
    """

    call: BoundCall
    collect: Collect


class CallContext(RuntimeContext):
    """A context that creates no directory: staging does."""

    def create_tmpdir(self) -> str:
        """Give the call's temporary directory."""
        return self.tmpdir


class CallFiles(StdFsAccess):
    """File access for which a call's own directories, made by staging, are real paths already."""

    def realpath(self, path: str) -> str:
        """Give an absolute path as it stands."""
        return path if path.startswith("/") else super().realpath(path)


class Binder:
    """Binds the calls of one run; live tools and the state of in-place updates are kept between calls."""

    def __init__(self, *, ontology: Ontology = (), expression_timeout_s: float = 20.0, checksum: bool = True) -> None:
        self._tools = LiveTools()
        self._ontology = ontology
        self._expression_timeout_s = expression_timeout_s
        self._checksum = checksum
        self._mutations = MutationManager()
        self._slow: Counter[str] = Counter()  # how often a tool's JavaScript took too long, by digest of the tool

    def bind(self, tool: ToolPlan, inputs: CwlObject, place: Place, *, name: str) -> Bound:
        """Describe one call of a command line tool.

        Raises:
            InputError: The inputs do not fit the tool.
            ExpressionError: An expression failed.
            StepError: The call cannot be described, for instance because its command line is empty.
        """
        with call_errors(name, inputs), missing_files(name):
            live = self._tools.get(tool, self._ontology)
            context = self._context(tool, place)
            context.name = name
            cwltool.process._names.clear()  # noqa: SLF001 - it looks for a free name by counting up; ours is unique
            job = next(live.job(inputs, None, context))
            return _describe(tool, job, place, name)

    def bind_at_once(self, tool: ToolPlan, inputs: CwlObject, place: Place, *, name: str) -> Bound | None:
        """Describe one call as ``bind`` does, where that keeps an event loop waiting for moments only.

        JavaScript may take its whole time limit, yet most of it takes less time than a hop to a thread.

        Returns:
            None where ``bind`` is to be called in a thread: the JavaScript took too long, or may do so.
        """
        if binds_quickly(tool):
            return self.bind(tool, inputs, place, name=name)
        if self._slow[tool.digest] >= MOST_TRIALS or _updates_in_place(tool):
            return None
        try:
            with javascript.at_once(PATIENCE_S):
                return self.bind(tool, inputs, place, name=name)
        except javascript.TookLong:
            self._slow[tool.digest] += 1
            return None

    def evaluate(self, tool: ToolPlan, inputs: CwlObject, *, name: str) -> CwlObject:
        """Give the outputs of an ExpressionTool.

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
        found: list[Any] = []
        context = RuntimeContext({"eval_timeout": self._expression_timeout_s, "use_container": False})
        with call_errors(name, inputs), missing_files(name):
            live = self._tools.get(tool, self._ontology)
            job = next(live.job(inputs, None, context))
            outputs = job.builder.do_eval(job.script)
            visit_files_directories(outputs, path_to_loc)
            normalizeFilesDirs(outputs)
            found.append(outputs)
        return expression_outputs(found[0], tool, name)

    def _context(self, tool: ToolPlan, place: Place) -> RuntimeContext:
        context = CallContext()
        context.outdir = str(place.outdir)
        context.tmpdir = str(place.tmpdir)
        context.stagedir = str(place.stagedir)
        context.docker_outdir = CONTAINER_OUTDIR
        context.docker_tmpdir = CONTAINER_TMPDIR
        context.docker_stagedir = CONTAINER_STAGEDIR
        context.use_container = place.containers and place.mounts
        if context.use_container and place.default_image is not None:
            context.default_container = place.default_image
        context.eval_timeout = self._expression_timeout_s
        context.compute_checksum = self._checksum
        context.path_mapper = CallPathMapper
        context.select_resources = partial(_selected_resources, place.least_ram_mib)
        context.make_fs_access = CallFiles
        if _updates_in_place(tool):
            context.mutation_manager = self._mutations
        return context


def docker_requirement(tool: ToolPlan) -> tuple[DockerImage | None, bool]:
    """Give the image that a tool asks for, and whether it is required rather than hinted."""
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


def binds_quickly(tool: ToolPlan) -> bool:
    """Tell whether binding a call of a tool starts no JavaScript, which may take its whole time limit."""
    return _expressions(tool)[0]


def collects_quickly(tool: ToolPlan) -> bool:
    """Tell whether collecting the outputs of a tool starts no JavaScript."""
    return _expressions(tool)[1]


_QUICK: dict[str, tuple[bool, bool]] = {}  # by digest of the tool


def _expressions(tool: ToolPlan) -> tuple[bool, bool]:
    found = _QUICK.get(tool.digest)
    if found is None:
        inward = {key: value for key, value in tool.document.items() if key != "outputs"}
        requirements = [entry for entry in tool.requirements if entry["class"] != "InlineJavascriptRequirement"]
        binding = has_javascript([inward, requirements, tool.hints])
        found = _QUICK[tool.digest] = (not binding, not has_javascript(tool.document["outputs"]))
    return found


class missing_files:  # noqa: N801 - used like a function
    """Turn a missing input file into an error that names the call."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Translate an OSError."""
        if isinstance(error, OSError):
            place = error.filename or ""
            raise InputError(
                f"{self._name}: input {place}: {error.strerror or error}.",
                hint="Check that the file exists on this machine and can be read.",
            ) from error


def expression_outputs(value: Any, tool: ToolPlan, name: str) -> CwlObject:
    """Check that an expression gave an object with the declared outputs (CWL Workflow, §ExpressionTool)."""
    if not isinstance(value, Mapping):
        raise StepError(
            f"{name}: the expression gave {type(value).__name__}, expected an object of outputs.",
            step=name,
            hint=f"Return an object with the fields {', '.join(port.id for port in tool.outputs)}.",
        )
    missing = [port.id for port in tool.outputs if port.id not in value and not _nullable(port.type)]
    if missing:
        raise StepError(f"{name}: the expression did not give the output {missing[0]!r}.", step=name)
    return as_object({str(key): item for key, item in value.items()})


def _nullable(declared: Any) -> bool:
    return declared in ("null", "Any") or (isinstance(declared, list) and "null" in declared)


def _describe(tool: ToolPlan, job: DescribedJob, place: Place, name: str) -> Bound:
    image, required = _image(tool, place)
    if image is None:
        _check_gpus(job)
    builder = job.builder
    generated = CallPathMapper(job.generatefiles["listing"], "", builder.outdir, separateDirs=False)
    entries = (*_entries(job.pathmapper), *_entries(generated))
    job.generatemapper = generated
    environment = dict(job.environment)
    if image is None:
        environment.setdefault("PATH", place.search_path)
    command = _command(job, environment)
    if not command:
        raise StepError(
            f"{name}: the command line is empty.",
            step=name,
            hint="Give the tool a baseCommand, arguments, or an input with an inputBinding.",
        )
    call = BoundCall(
        command=command,
        env=environment,
        entries=entries,
        outdir=builder.outdir,
        tmpdir=builder.tmpdir,
        stdin=job.stdin or None,
        stdout=job.stdout or None,
        stderr=job.stderr or None,
        image=image,
        resources=_resources(job),
        network=job.networkaccess,
        timeout_s=float(job.timelimit) if job.timelimit else None,
        inplace_update=job.inplace_update,
        any_path=required,
        success_codes=frozenset(job.successCodes),
        temporary_fail_codes=frozenset(job.temporaryFailCodes),
        permanent_fail_codes=frozenset(job.permanentFailCodes),
    )
    return Bound(call=call, collect=collector(job, call, name=name))


def _entries(mapper: PathMapper) -> list[StagedEntry]:
    return [
        StagedEntry(kind=_kind(entry), source=_source(entry), target=entry.target) for entry in mapper if entry.staged
    ]


def _kind(entry: Any) -> EntryKind:
    if entry.resolved.startswith("_:") and entry.type in ("Directory", "WritableDirectory"):
        return EntryKind.EMPTY_DIRECTORY
    return EntryKind(entry.type)


def _source(entry: Any) -> str:
    return "" if _kind(entry) is EntryKind.EMPTY_DIRECTORY else str(entry.resolved)


def _command(job: DescribedJob, environment: dict[str, str]) -> tuple[str, ...]:
    command = tuple(str(argument) for argument in job.command_line)
    if not job.mpi_procs:
        return command
    mpi = MpiConfig()
    mpi.pass_through_env_vars(environment)
    mpi.set_env_vars(environment)
    return (mpi.runner, mpi.nproc_flag, str(job.mpi_procs), *mpi.extra_flags, *command)


def _selected_resources(
    least_ram_mib: float | None, request: dict[str, int | float], _context: RuntimeContext
) -> dict[str, int | float]:
    """Take what is asked at least, in whole mebibytes (CWL CommandLineTool, §ResourceRequirement)."""
    chosen: dict[str, int | float] = {
        "cores": request["coresMin"],
        "ram": math.ceil(max(request["ramMin"], least_ram_mib or 0)),
        "tmpdirSize": math.ceil(request["tmpdirMin"]),
        "outdirSize": math.ceil(request["outdirMin"]),
    }
    if "cudaDeviceCountMin" in request:
        chosen["cudaDeviceCount"] = request["cudaDeviceCountMin"]
    return chosen


def _resources(job: DescribedJob) -> Resources:
    found = job.builder.resources
    base = Resources(
        cores=float(found["cores"]),
        ram_mib=float(found["ram"]),
        tmpdir_mib=float(found["tmpdirSize"]),
        outdir_mib=float(found["outdirSize"]),
        gpus=math.ceil(found.get("cudaDeviceCount", 0)),
    )
    shm, _ = job.builder.get_requirement("http://commonwl.org/cwltool#ShmSize")
    if shm is None:
        return base
    size = _SIZE.match(str(shm["shmSize"]))
    if size is None:
        raise StepError(f"ShmSize: {shm['shmSize']!r} is not a size.", hint="Write it as 64m or 1g.")
    return replace(base, shm_mib=float(size.group(1)) * _MEBIBYTES[size.group(2).lower()])


def _image(tool: ToolPlan, place: Place) -> tuple[DockerImage | None, bool]:
    """Give the image that a call runs in, if any, and whether the tool insists on having one."""
    named, required = docker_requirement(tool)
    if not place.containers:
        return None, required
    if named is None and place.default_image is not None:
        return DockerImage(pull=place.default_image), required
    return named, required


def _check_gpus(job: DescribedJob) -> None:
    cuda, _ = job.builder.get_requirement("http://commonwl.org/cwltool#CUDARequirement")
    if cuda and cuda_check(cuda, math.ceil(job.builder.resources["cudaDeviceCount"])) == 0:
        raise StepError(
            "CUDARequirement: this machine has no fitting NVIDIA device.",
            hint="Run the step where nvidia-smi lists enough devices of the wanted compute capability.",
        )


def _updates_in_place(tool: ToolPlan) -> bool:
    names = ("InplaceUpdateRequirement", "http://commonwl.org/cwltool#InplaceUpdateRequirement")
    return any(requirement(tool.requirements, tool.hints, name) is not None for name in names)


def _optional(value: Any) -> str | None:
    return None if value is None else str(value)
