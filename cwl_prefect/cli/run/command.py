"""The command ``run``: find document and inputs on the command line, run them, print the output object."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Self, TextIO

from pydantic import JsonValue

from cwl_prefect import api
from cwl_prefect._lib.destinations import Destination
from cwl_prefect.cli.exit_codes import SUCCESS
from cwl_prefect.cli.failures import lent_credentials, report_failure, settings_with
from cwl_prefect.cli.interrupt import run_interruptibly
from cwl_prefect.cli.json_lines import JsonLines
from cwl_prefect.cli.log_output import configure_logging
from cwl_prefect.cli.quantities import mebibytes
from cwl_prefect.cli.run.batch import Batch, prepare_items, run_batch
from cwl_prefect.cli.run.ending import Ending
from cwl_prefect.cli.run.input_flags import parse_input_arguments
from cwl_prefect.cli.run.options import UnknownFlagError
from cwl_prefect.cli.run.progress import shown_progress
from cwl_prefect.cli.terminal import complain, results_only, write_results
from cwl_prefect.configuration import read_given
from cwl_prefect.cwl.binding.inputs import unknown_inputs
from cwl_prefect.cwl.binding.job_orders import places_in, shown_name
from cwl_prefect.engine.workflow.part import with_single_step, with_targets
from cwl_prefect.errors import CwlPrefectError, PartialRunError, UsageError
from cwl_prefect.flows.lifecycle.results import asked_destination
from cwl_prefect.model.overrides import OVERRIDES
from cwl_prefect.model.plan import WorkflowPlan
from cwl_prefect.model.values import CwlObject, WrittenJobOrder
from cwl_prefect.server.local_server import open_address
from cwl_prefect.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What the command line asks for."""

    arguments: tuple[str, ...]  # document, job order, inputs as flags
    overrides: Mapping[str, object]  # settings by name; None: not given
    outdir: str | None = None  # None: that of the settings, or the current directory
    batch: tuple[str, ...] = ()  # job orders and tables, beside those among the arguments
    name: str | None = None  # of the flow run
    tags: tuple[str, ...] = ()
    reports: Mapping[str, Path | None] = field(default_factory=dict)  # files by the names of their options
    prices: Path | None = None  # file of prices, by which reports say what was paid
    dry_run: bool = False  # only say what would be done
    targets: tuple[str, ...] = ()  # outputs and steps that alone are wanted
    single_step: str | None = None  # step that alone is run
    quiet: bool = False
    verbose: bool = False
    lines: JsonLines | None = None  # None: standard error is text


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Which part of a workflow is to be run."""

    targets: tuple[str, ...] = ()  # none: all of it
    single_step: str | None = None

    @classmethod
    def of(cls, request: RunRequest) -> Self:
        """Return the part that the command line asks for.

        Raises:
            UsageError: It asks for two.
        """
        if request.targets and request.single_step is not None:
            raise UsageError("--target and --single-step exclude each other.", hint="leave one of them out.")
        return cls(targets=request.targets, single_step=request.single_step)

    def run(self, plan: WorkflowPlan) -> WorkflowPlan:
        """Return what is to be run of a workflow.

        Raises:
            UsageError: It has no such output or step.
        """
        if self.single_step is not None:
            return with_single_step(plan, self.single_step)
        return with_targets(plan, self.targets) if self.targets else plan

    def taking(self, plan: WorkflowPlan) -> WorkflowPlan:
        """Return the workflow whose inputs may be given: with targets that of all, of which some have no use."""
        return plan if self.targets else self.run(plan)


WHOLE = Part()


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is to be run, with everything read and compiled."""

    plan: WorkflowPlan
    job_order: CwlObject
    settings: Settings
    outdir: Destination
    source: str | None = None  # job order that the inputs were read from
    flags: frozenset[str] = frozenset()  # inputs that the command line gives


def run_document(request: RunRequest) -> int:
    """Run a document, print its output object on the standard output, and give the exit code.

    Raises:
        CwlPrefectError: It could not be run at all; failures of steps are reported here and decide the exit code.
    """
    check_naming(request.name, request.tags)
    configure_logging(quiet=request.quiet, verbose=request.verbose, lines=request.lines)
    if request.dry_run:
        return _dry_run(request)
    settings = chosen_settings(request.overrides)
    with results_only() as results, lent_credentials(settings):
        check_reports(request, settings)
        if request.batch:
            return run_batch(batch_of(request, settings), results)
        work = prepare(request.arguments, settings, request.outdir, Part.of(request))
        _warn_of_taken(work, request)
        ending = Ending(work.outdir)
        try:
            return report(execute(work, request, ending), results)
        finally:
            if ending.flow_run_id is not None and any(request.reports.values()):
                from cwl_prefect.cli.run.reports import write_reports

                write_reports(settings.reports / ending.flow_run_id, request.reports, settings, prices=request.prices)


def _dry_run(request: RunRequest) -> int:
    from cwl_prefect.cli.run.dry_run import dry_run

    if request.batch:
        raise UsageError("--dry-run looks at one run.", hint="give one of the job orders instead of --batch.")
    settings = chosen_settings(request.overrides)
    with lent_credentials(settings):
        work = prepare(request.arguments, settings, request.outdir, Part.of(request))
        _warn_of_taken(work, request)
        with places_in(work.source, work.flags):
            return dry_run(work.plan, work.job_order, work.settings)


def chosen_settings(overrides: Mapping[str, object]) -> Settings:
    """Make the settings of a run, with what its options say.

    Raises:
        UsageError: A value is not allowed, or assets are chosen and no catalog is staged in.
    """
    ram = overrides.get("max_ram_mib")
    quantities = {"max_ram_mib": mebibytes(ram, "--max-ram")} if isinstance(ram, str) else {}
    settings = settings_with({**overrides, **quantities})
    if overrides.get("assets") is not None and settings.stage_in is None:
        raise UsageError("--assets is for --stage-in stac.", hint="add that, or leave --assets out.")
    return settings


def check_reports(request: RunRequest, settings: Settings) -> None:
    """Refuse reports that could not be written at the end.

    Raises:
        UsageError: Nothing is to be recorded, there would be several, one lies where none can be made, the name of the
            graph does not say how to write it, there is something where the crate is to be, or there are no prices
            where they are to be.
    """
    targets = [path for path in request.reports.values() if path is not None]
    if request.prices is not None:
        from cwl_prefect.reports.prices import read_prices

        read_prices(request.prices)
        if request.reports.get("report") is None and request.reports.get("trace") is None:
            raise UsageError("--prices is for --report and --trace.", hint="add one, or use `runs show --prices`.")
    if not targets:
        return
    from cwl_prefect.reports.files import check_targets

    if request.batch:
        raise UsageError(
            "--report, --timeline, --trace, --dag and --provenance are of one run.",
            hint="use `runs report` and `runs crate` for each.",
        )
    if not settings.record:
        raise UsageError("CWL_PREFECT_RECORD=0 lets nothing be reported.", hint="leave it out.")
    if (graph := request.reports.get("dag")) is not None:
        from cwl_prefect.reports.dag import check_dag

        check_dag(graph)
    if (crate := request.reports.get("provenance")) is not None:
        from cwl_prefect.reports.crate.write import check_target

        check_target(crate)
    check_targets(targets)


def batch_of(request: RunRequest, settings: Settings) -> Batch:
    """Load the document and read the inputs of all runs of a batch; a shell gives most files among the arguments.

    Raises:
        UsageError: No document is given, a file does not exist, a flag is wrong, or lines of JSON are wanted.
        InputError: Inputs of some runs are wrong.
    """
    if request.lines is not None:
        raise UsageError("--log-format json is of one run.", hint="leave it out, or run one after the other.")
    document, rest = _document_and_rest(request.arguments)
    part = Part.of(request)
    plan = part.run(api.load_plan(document, settings=settings))

    def load(job_order: CwlObject) -> WorkflowPlan:
        """Return the plan for a job order: an own one where it overrides requirements."""
        overridden = not OVERRIDES.isdisjoint(job_order)
        return part.run(api.load_plan(document, job_order=job_order, settings=settings)) if overridden else plan

    items = prepare_items(request.batch, rest, load, settings)
    return Batch(
        items=items,
        settings=settings,
        outdir=_destination(request.outdir, settings),
        quiet=request.quiet,
        name=request.name,
        tags=request.tags,
    )


def _destination(outdir: str | None, settings: Settings) -> Destination:
    found = asked_destination(outdir) or settings.outdir or Path()
    return found.absolute() if isinstance(found, Path) else found


def check_naming(name: str | None, tags: Sequence[str]) -> None:
    """Refuse names and tags that nobody could find again.

    Raises:
        UsageError: One is empty, or has other characters than a line of text.
    """
    given = [("--tag", tag) for tag in tags] + ([] if name is None else [("--name", name)])
    for option, text in given:
        if not text.strip() or not text.isprintable():
            raise UsageError(f"{option}: {text!r} is no name.", hint="give a line of text.")


def prepare(arguments: Sequence[str], settings: Settings, outdir: str | None, part: Part = WHOLE) -> Work:
    """Load the document and read its inputs.

    Raises:
        UsageError: No document is given, an input's flag is wrong, or the document has no such part.
        DocumentError: The document is not valid CWL.
        InputError: The job order cannot be read.
    """
    document, rest = _document_and_rest(arguments)
    tool = api.document_of(document) if _may_be_job_order(document) else None
    plan = api.load_plan(tool or document, settings=settings)
    taking = part.taking(plan)
    given = parse_input_arguments(taking.inputs, rest)
    if tool is not None and given.job_order is not None:
        raise UsageError(
            f"{document} is a job order that names its own document.", hint=f"leave out {given.job_order}."
        )
    source = document if tool is not None else given.job_order
    job_order = api.read_job_order(source)
    if not OVERRIDES.isdisjoint(job_order):
        plan = api.load_plan(tool or document, job_order=job_order, settings=settings)
    warn_of_unknown(taking, job_order, source or "")
    return Work(
        plan=part.run(plan),
        job_order={**job_order, **given.values},
        settings=settings,
        outdir=_destination(outdir, settings),
        source=source,
        flags=frozenset(given.values),
    )


def job_order_name(source: str) -> str:
    """Return what people are told of where a job order was read: ``-`` says nothing to them."""
    return "standard input" if source == "-" else shown_name(source)


def warn_of_unknown(plan: WorkflowPlan, job_order: CwlObject, source: str) -> None:
    """Warn of keys of a job order that name no input: they are ignored."""
    for key, meant in unknown_inputs(plan, job_order).items():
        complain(f"Warning: {job_order_name(source)}: there is no input {key!r}; it is ignored.{meant}")


def _warn_of_taken(work: Work, request: RunRequest) -> None:
    """Warn of inputs that may have been meant by an option."""
    taken = {"name": request.name is not None, "tag": bool(request.tags)}
    for port in work.plan.inputs:
        if taken.get(port.id) and port.id not in work.job_order:
            complain(
                f"Warning: --{port.id} is of the flow run; the input {port.id!r} is given after a lone `--`, as in "
                f"`-- --{port.id} VALUE`."
            )


def execute(work: Work, request: RunRequest, ending: Ending) -> api.RunResult:
    """Run what was prepared, as it was asked for, with its progress shown, and what is to be said at its end.

    Raises:
        CwlPrefectError: It could not be run at all, or was stopped.
    """
    opened = partial(open_address, work.settings)
    try:
        with shown_progress(
            quiet=request.quiet, verbose=request.verbose, opened=opened, lines=request.lines
        ) as observer:
            run = partial(
                api.run,
                work.plan,
                WrittenJobOrder(work.job_order),
                settings=work.settings,
                outdir=work.outdir,
                observers=[observer, ending],
                name=request.name,
                tags=request.tags,
            )
            with places_in(work.source, work.flags):
                return run_interruptibly(run)
    finally:
        if not request.quiet and ending.flow_run_id is not None:
            for line in ending.lines():
                complain(line)


def report(result: api.RunResult, results: TextIO) -> int:
    """Print the outputs, tell every error once, and give the exit code."""
    if result.status is not api.RunStatus.FAILED:
        write_results(result.outputs, results)
    codes = [report_failure(error) for error in result.errors]
    if result.status is api.RunStatus.COMPLETED:
        return SUCCESS
    if result.status is api.RunStatus.PARTIAL:
        return PartialRunError.exit_code
    return codes[0] if codes else CwlPrefectError.exit_code


def read_overrides(path: Path) -> dict[str, JsonValue]:
    """Read overrides of single steps from a YAML or JSON file.

    Raises:
        UsageError: It cannot be read, or is no mapping of mappings.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        content = YAML(typ="safe", pure=True).load(read_given(path, "--step-overrides:"))
        content = json.loads(json.dumps(content))
    except (YAMLError, TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"--step-overrides: {path} cannot be read: {error}.") from error
    if not isinstance(content, dict) or not all(isinstance(members, dict) for members in content.values()):
        raise UsageError(
            f"--step-overrides: {path} must map names of steps to mappings.",
            hint='write it as "prepare.align": {resources: {ram: 8G}}.',
        )
    return content


def show_inputs(document: str, part: Part, overrides: Mapping[str, object]) -> None:
    """Print the flags for the inputs of a document."""
    from cwl_prefect.cli.run.input_help import print_input_help

    tool = api.document_of(document) if _may_be_job_order(document) else None
    settings = chosen_settings(overrides)
    print_input_help(part.taking(api.load_plan(tool or document, settings=settings)), tool or document)


def _document_and_rest(arguments: Sequence[str]) -> tuple[str, Sequence[str]]:
    if not arguments:
        raise UsageError(
            "No document to run.", hint="give a path or URL, as in `cwl-prefect run workflow.cwl inputs.yml`."
        )
    if arguments[0].startswith("-"):
        raise UnknownFlagError(
            f"No such option: {arguments[0]}.",
            flag=arguments[0],
            hint="inputs of the workflow go after the document; `cwl-prefect run --help` shows the options.",
        )
    return arguments[0], arguments[1:]


def _may_be_job_order(document: str) -> bool:
    return (
        "#" not in document and Path(document).suffix.lower() in (".yml", ".yaml", ".json") and Path(document).is_file()
    )
