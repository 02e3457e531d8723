"""Live cwltool objects made from plans, without loading any schema; they stay inside one process and one call."""

import copy
import json
from collections.abc import Iterator, Mapping, MutableSequence
from contextlib import contextmanager
from decimal import Decimal
from functools import cmp_to_key, partial
from importlib.resources import files
from typing import Any, cast

import cwltool.process
from cwltool.builder import Builder
from cwltool.command_line_tool import CommandLineTool, ExpressionTool
from cwltool.context import LoadingContext, RuntimeContext
from cwltool.errors import UnsupportedRequirement, WorkflowException
from cwltool.job import JobBase
from cwltool.pathmapper import PathMapper
from cwltool.update import INTERNAL_VERSION, ORIGINAL_CWLVERSION
from cwltool.utils import cmp_like_py2
from rdflib import Graph, URIRef
from requests.exceptions import RequestException
from schema_salad.avro.schema import Names
from schema_salad.exceptions import SchemaSaladException
from schema_salad.schema import make_avro_schema, make_valid_avro
from schema_salad.sourceline import cmap

from cwl_prefect.cwl.expressions import evaluate_in
from cwl_prefect.cwl.faults import value_faults
from cwl_prefect.cwl.javascript import JavascriptError
from cwl_prefect.cwl.load import quiet_libraries
from cwl_prefect.cwl.messages import call_message
from cwl_prefect.errors import CwlPrefectError, ExpressionError, InputError, StepError, UnsupportedError
from cwl_prefect.model.plan import ToolPlan
from cwl_prefect.model.values import file_objects

Ontology = tuple[tuple[str, str, str], ...]

LONGEST_VALUE = 80  # characters of a value that is quoted in an error

_IN_ORDER: Any = cmp_to_key(cast("Any", cmp_like_py2))  # of command line bindings

_EXPRESSION_MARK = "Expression evaluation error"


class CallPathMapper(PathMapper):
    """Stages each input in a directory with a number instead of a random name, so that a call is the same each time."""

    def setup(self, referenced_files: MutableSequence[Any], basedir: str) -> None:
        """Give every referenced file its own numbered directory below the staging directory."""
        stagedir = self.stagedir
        for number, found in enumerate(referenced_files):
            if self.separateDirs:
                stagedir = f"{self.stagedir}/{number}"
            self.visit(found, stagedir, basedir, copy=bool(found.get("writable")), staged=True)


class DescribedJob(JobBase):
    """A cwltool job that is read, never run."""

    def run(self, runtimeContext: RuntimeContext, tmpdir_lock: Any = None) -> None:  # noqa: N803
        """Refuse: backends run calls."""
        raise AssertionError(runtimeContext, tmpdir_lock)

    def _required_env(self) -> dict[str, str]:
        return {"HOME": self.builder.outdir, "TMPDIR": self.builder.tmpdir}


class FreshInputs:
    """Gives each call a schema of its own where an input is of type Any: binding writes the type it found into it."""

    _schema: Any = None
    _holds_any = False

    @property
    def inputs_record_schema(self) -> Any:
        """Schema of the inputs."""
        return copy.deepcopy(self._schema) if self._holds_any else self._schema

    @inputs_record_schema.setter
    def inputs_record_schema(self, schema: Any) -> None:
        self._schema = schema

    def finish(self) -> None:
        """Look at the schema once it is complete."""
        text = json.dumps(self._schema, default=str)
        self._holds_any = 'salad.Any"' in text or '"Any"' in text


class DescribedExpression(FreshInputs, ExpressionTool):
    """An expression tool that can be called many times."""


class DescribedTool(FreshInputs, CommandLineTool):
    """A command line tool whose jobs are described instead of run."""

    def make_job_runner(self, runtimeContext: RuntimeContext) -> type[JobBase]:  # noqa: ARG002, N803
        """Give the class of job that only describes."""
        return DescribedJob

    def __init__(self, document: Any, context: LoadingContext) -> None:
        # Taken out of the document: cwltool would write line numbers for each and copy them deeply for every call.
        arguments = tuple(document.pop("arguments", ()))
        super().__init__(document, context)
        self._arguments = arguments

    def _init_job(self, joborder: Any, runtime_context: RuntimeContext) -> Builder:
        builder = super()._init_job(joborder, runtime_context)
        builder.tostr = argument_text  # type: ignore[method-assign]
        builder.do_eval = partial(evaluate_in, builder)  # type: ignore[method-assign]
        if self._arguments:
            given = [_argument(builder, number, argument) for number, argument in enumerate(self._arguments)]
            builder.bindings[:] = sorted([*builder.bindings, *given], key=_IN_ORDER)
        return builder


def _argument(builder: Builder, number: int, argument: Any) -> dict[str, Any]:
    """Give an entry of ``arguments`` as a binding (CWL CommandLineTool, §arguments)."""
    if isinstance(argument, Mapping):
        position = argument.get("position") or 0
        if isinstance(position, str):
            position = builder.do_eval(position) or 0
        return {**argument, "position": [position, number]}
    key = "valueFrom" if "$(" in argument or "${" in argument else "datum"
    return {"position": [0, number], key: argument}


def argument_text(value: Any) -> str:
    """Write a value as a command line argument, a number never in scientific notation.

    (CWL CommandLineTool, §Input binding.)

    Raises:
        WorkflowException: A file has no path.
    """
    if isinstance(value, Mapping) and value.get("class") in ("File", "Directory"):
        if "path" not in value:
            msg = f"{value['class']} object without a path"
            raise WorkflowException(msg)
        return str(value["path"])
    if isinstance(value, float):
        text = repr(value)
        return format(Decimal(text), "f") if "e" in text else text
    return str(value)


class LiveTools:
    """The live objects of one process, made once for each tool digest."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def get(self, tool: ToolPlan, ontology: Ontology = ()) -> Any:
        """Give the live tool of a plan."""
        found = self._made.get(tool.digest)
        if found is None:
            found = make_live(
                {"id": f"#{tool.name}", **tool.document},
                requirements=tool.requirements,
                hints=tool.hints,
                cwl_version=tool.cwl_version,
                ontology=ontology,
            )
            self._made[tool.digest] = found
        return found


def make_live(
    document: Mapping[str, Any],
    *,
    requirements: tuple[dict[str, Any], ...],
    hints: tuple[dict[str, Any], ...],
    cwl_version: str,
    ontology: Ontology = (),
) -> Any:
    """Make a live tool from its plain document and effective requirements."""
    quiet_libraries()
    _preset_base_types()
    context = LoadingContext()
    context.requirements = [_marked(entry) for entry in requirements]
    context.hints = [_marked(entry) for entry in hints]
    context.metadata = {"cwlVersion": INTERNAL_VERSION, ORIGINAL_CWLVERSION: cwl_version}
    context.avsc_names = Names()
    context.disable_js_validation = True
    context.relax_path_checks = True
    context.do_validate = False
    kind: Any = DescribedTool if document["class"] == "CommandLineTool" else DescribedExpression
    live = kind(_marked(document), context)
    live.finish()
    live.formatgraph = _graph(ontology)
    return live


@contextmanager
def call_errors(what: str, values: Mapping[str, Any] | None = None, *, step: str | None = None) -> Iterator[None]:
    """Turn what cwltool raises while a call is bound or collected into errors of this package.

    Args:
        what: Name of the call, with the part of it that may fail.
        values: Its inputs, to be named and quoted where they are at fault.
        step: Name of the call alone, where it differs.
    """
    try:
        yield
    except CwlPrefectError:
        raise
    except UnsupportedRequirement as error:
        raise UnsupportedError(f"{what}: {call_message(str(error))}") from error
    except (WorkflowException, SchemaSaladException, ValueError, KeyError, TypeError) as error:
        raised = _call_error(what, error, values or {})
        if isinstance(raised, StepError):
            raised.step = step or what
        raise raised from error
    except RecursionError as error:
        raise StepError(f"{what}: values are nested too deeply.") from error


def _call_error(what: str, error: Exception, values: Mapping[str, Any]) -> CwlPrefectError:
    failed = expression_error(what, error)
    if failed is not None:
        return failed
    message = call_message(str(error)) or type(error).__name__
    if message.startswith("Invalid job input record") and isinstance(error.__cause__, SchemaSaladException):
        message = _input_message(what, error.__cause__, values)
        return InputError(message, hint="`cwl-prefect inputs DOCUMENT` shows what is expected.")
    if (unreachable := _unreachable(error)) is not None:
        return InputError(
            f"{what}: input {_port_of(unreachable, values)}{unreachable}: it cannot be fetched.",
            hint="Check the address and the network, or give the path of a local copy.",
        )
    return StepError(f"{what}: {message}", step=what)


def expression_error(what: str, error: BaseException) -> ExpressionError | None:
    """Give the error of an expression, where that is what an error is about."""
    javascript = _javascript_error(error)
    if javascript is not None:
        return ExpressionError(f"{what}: {javascript.message}", step=what, hint=javascript.hint)
    message = call_message(str(error))
    if _EXPRESSION_MARK not in message:
        return None
    hint = "Check the expression; inputs, self and runtime are what it can see."
    return ExpressionError(f"{what}: {message}", step=what, hint=hint)


def _javascript_error(error: BaseException | None) -> JavascriptError | None:
    """Find what the JavaScript engine said among the causes of an error."""
    while error is not None:
        if isinstance(error, JavascriptError):
            return error
        error = error.__cause__ or error.__context__
    return None


def _input_message(what: str, error: SchemaSaladException, values: Mapping[str, Any]) -> str:
    faults: dict[str, str] = {}
    for field, text in value_faults(error):
        if field is None:
            faults[text.rstrip(".")] = ""
        else:
            faults[f"input {field}: {text}"] = f", found {_shown(values[field])}" if field in values else ""
    return f"{what}: {'; '.join(fault + found for fault, found in faults.items())}."


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


def _unreachable(error: BaseException | None) -> str | None:
    """Find the URL that could not be fetched, if that is what an error is about."""
    while error is not None:
        if isinstance(error, RequestException):
            return None if error.request is None else str(error.request.url)
        error = error.__cause__ or error.__context__
    return None


def _port_of(location: str, values: Mapping[str, Any]) -> str:
    for port, value in values.items():
        if any(found.get("location") == location for found in file_objects(value)):
            return f"{port}: "
    return ""


def _marked(document: Mapping[str, Any]) -> Any:
    """Give cwltool the line-numbered mapping that it expects; the numbers are placeholders."""
    return cmap(copy.deepcopy(dict(document)), fn="plan")


def _graph(ontology: Ontology) -> Graph | None:
    if not ontology:
        return None
    graph = Graph()
    for subject, relation, object_ in ontology:
        graph.add((URIRef(subject), URIRef(relation), URIRef(object_)))
    return graph


def _preset_base_types() -> None:
    """Give cwltool the base types and words that it would otherwise load the schemas of CWL and of schemas for."""
    process: Any = cwltool.process
    if process.make_valid_avro is not make_valid_avro:
        return
    base = json.loads(files("cwl_prefect.cwl").joinpath("base_types.json").read_text("utf-8"))
    if process.SCHEMA_FILE is None:
        process.SCHEMA_ANY = base["Any"]
        process.SCHEMA_FILE = base["File"]
        process.SCHEMA_DIR = base["Directory"]
    process.make_avro_schema = partial(make_avro_schema, metaschema_vocab=base["vocabulary"])
    process.make_valid_avro = partial(make_valid_avro, vocab=base["vocabulary"])  # last: it tells that all is there
