"""CWL inputs as the parameters of a Prefect flow: names, signature, documentation, and the way back to a job order."""

import functools
import inspect
import keyword
import logging
import operator
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from enum import Enum
from pathlib import Path, PurePath
from typing import Annotated, Literal, NotRequired, TypeAlias, cast

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    WrapValidator,
    create_model,
    with_config,
)
from pydantic_core.core_schema import ValidatorFunctionWrapHandler
from typing_extensions import TypedDict

from cwl_prefect._lib.locations import is_url
from cwl_prefect._lib.uris import directory_uri
from cwl_prefect.engine.workflow.cwl_types import (
    ANY,
    ArrayType,
    CwlType,
    EnumType,
    Primitive,
    RecordType,
    UnionType,
    describe_type,
    is_optional,
    members,
    parse_type,
    without_null,
)
from cwl_prefect.engine.workflow.python_types import python_type
from cwl_prefect.errors import InputError, UsageError
from cwl_prefect.model.plan import InputPort, OutputPort, WorkflowPlan
from cwl_prefect.model.values import FILE_CLASSES, CwlObject

_logger = logging.getLogger(__name__)

TypeForm: TypeAlias = object
"""What may stand in an annotation: a class, a union, ``Literal[...]``, ``Annotated[...]``."""

# Prefect's own call takes the last two, and its schemas leave the first two out.
_RESERVED = frozenset({"self", "cls", "return_state", "wait_for"})
_STRING, _FILES = Primitive(name="string"), (Primitive(name="File"), Primitive(name="Directory"))
_SECTION = re.compile(r"^(\s*\w[\w ]*):\s*$", re.MULTILINE)


def _path_text(value: object) -> object:
    return str(value) if isinstance(value, PurePath) else value


def _keep_whole_number(value: object, validate: ValidatorFunctionWrapHandler) -> object:
    # 3 and 3.0 are told apart by a tool that prints them.
    return value if type(value) is int else validate(value)


def _quick(value: object, validate: ValidatorFunctionWrapHandler) -> object:
    # Ten thousand files are common; what is inside each is checked with the whole job order.
    if isinstance(value, dict) and value.get("class") in FILE_CLASSES:
        return value
    return validate(value)


PathOrUrl = Annotated[str, BeforeValidator(_path_text), Field(title="Path or URL")]
WholeOrFractional = Annotated[float, WrapValidator(_keep_whole_number)]


def _whole(bits: int) -> TypeForm:
    bounds = {"minimum": -(2 ** (bits - 1)), "maximum": 2 ** (bits - 1) - 1}  # shown only: errors are of the job order
    return Annotated[int, Field(json_schema_extra=bounds)]


def _file_object(name: str, **further: TypeForm) -> TypeForm:
    """Return the form of a File or Directory object as the CWL standard writes it (CWL CommandLineTool, §File)."""
    fields = {
        "location": Annotated[str, Field(title="Location", description="URL")],
        "path": Annotated[str, BeforeValidator(_path_text), Field(title="Path")],
        "basename": Annotated[str, Field(title="Name")],
        **further,
    }
    of_class = Field(title="Class", json_schema_extra={"enum": [name], "default": name})
    return _object(name, {"class": Annotated[Literal[name], of_class], **fields}, required={"class"})


def _object(
    name: str, fields: Mapping[str, TypeForm], *, required: Set[str], title: str | None = None, doc: str | None = None
) -> TypeForm:
    """Return a mapping with these fields, shown in this order; it may have others."""
    placed = {
        name: Annotated[annotation, Field(json_schema_extra={"position": position})]
        for position, (name, annotation) in enumerate(fields.items())
    }
    shown = {name: found if name in required else NotRequired[found] for name, found in placed.items()}
    found = TypedDict(re.sub(r"\W", "_", name), shown)  # type: ignore[misc]
    about: dict[str, JsonValue] = {"description": _one_line(doc)} if doc else {}
    return with_config(ConfigDict(title=title or name, extra="allow", json_schema_extra=about))(found)


_FILE = _file_object(
    "File",
    contents=Annotated[str, Field(title="Contents", description="Text of a file to write")],
    format=Annotated[str, Field(title="Format", description="URI of the format")],
    secondaryFiles=Annotated[list[object], Field(title="Secondary files")],
)
_DIRECTORY = _file_object("Directory", listing=Annotated[list[object], Field(title="Listing")])
_ANNOTATIONS: Mapping[str, TypeForm] = {
    "null": None,
    "boolean": bool,
    "int": _whole(32),
    "long": _whole(64),
    "float": WholeOrFractional,
    "double": WholeOrFractional,
    "string": str,
    "File": Annotated[PathOrUrl | _FILE, WrapValidator(_quick)],
    "Directory": Annotated[PathOrUrl | _DIRECTORY, WrapValidator(_quick)],
    "Any": object,
}


def parameter_names(plan: WorkflowPlan) -> dict[str, str]:
    """Name the flow parameter of each input: its id where Python and Prefect allow that, else something close to it."""
    ids = [port.id for port in plan.inputs]
    names = {identifier: identifier for identifier in ids if _allowed(identifier)}
    taken = set(names)
    for identifier in ids:
        if identifier in names:
            continue
        names[identifier] = next(name for name in _candidates(identifier) if name not in taken)
        taken.add(names[identifier])
    return {identifier: names[identifier] for identifier in ids}


def signature(plan: WorkflowPlan) -> inspect.Signature:
    """Return the signature of a plan's flow: one keyword parameter per input, with its type and default."""
    names = parameter_names(plan)
    return inspect.Signature(
        [
            inspect.Parameter(
                names[port.id],
                inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if port.required else port.default,
                annotation=_port_annotation(port),
            )
            for port in plan.inputs
        ],
        return_annotation=CwlObject,
    )


class _Written(str):
    """An annotation that a signature shows as it is written."""

    __slots__ = ()
    __repr__ = str.__str__


def shown_signature(plan: WorkflowPlan) -> inspect.Signature:
    """Return the signature of a plan's flow with short types, as ``help`` shows it."""
    plain, names = signature(plan), parameter_names(plan)
    types = {names[port.id]: python_type(parse_type(port.type), given=True) for port in plan.inputs}
    shown = [found.replace(annotation=_Written(types[name])) for name, found in plain.parameters.items()]
    return plain.replace(parameters=shown, return_annotation=_Written("dict[str, object]"))


def docstring(plan: WorkflowPlan) -> str:
    """Document a plan's flow in Google style, from which Prefect takes the descriptions of its parameters."""
    names = parameter_names(plan)
    parts = [_one_line(plan.label or plan.name)]
    if plan.doc:
        parts.append(_SECTION.sub(r"\1", plan.doc.strip()))
    if plan.inputs:
        described = (f"    {names[port.id]}: {port_description(port)}" for port in plan.inputs)
        parts.append("\n".join(("Args:", *described)))
    if plan.outputs:
        given = (f"    {port.id}: {port_description(port)}" for port in plan.outputs)
        parts.append("\n".join(("Returns:", *given)))
    return "\n\n".join(parts)


def port_description(port: InputPort | OutputPort) -> str:
    """Describe in one line what an input or output is for, or what it is where its author did not say."""
    return _one_line(port.doc or port.label or describe_type(parse_type(port.type)))


def job_order(plan: WorkflowPlan, parameters: Mapping[str, object]) -> CwlObject:
    """Turn the parameters of a flow run back into a job order; relative paths start from the working directory.

    A parameter that still has its default is left out, so that the workflow's own default applies.

    Raises:
        InputError: There is no input for a parameter.
    """
    names = parameter_names(plan)
    unknown = sorted(set(parameters) - set(names.values()))
    if unknown:
        raise InputError(
            f"{plan.name}: there is no input {unknown[0]!r}.",
            hint=f"The inputs are: {', '.join(names.values()) or 'none'}.",
        )
    order: CwlObject = {}
    for port in plan.inputs:
        value = parameters.get(names[port.id])
        if value is not None and (port.default is None or value != port.default):
            order[port.id] = plain_value(value, parse_type(port.type))
    return _from_working_directory(order)


def plain_order(plan: WorkflowPlan, values: Mapping[str, object]) -> CwlObject:
    """Turn Python values by the ids of inputs into a job order; relative paths start from the working directory."""
    types = {port.id: parse_type(port.type) for port in plan.inputs}
    return _from_working_directory({key: plain_value(value, types.get(key, ANY)) for key, value in values.items()})


def warn_of_unknown(plan: WorkflowPlan, job_order: Mapping[str, object]) -> None:
    """Warn of keys of a job order that name no input, which CWL allows: they are ignored."""
    from cwl_prefect.cwl.binding.inputs import unknown_inputs

    for key, meant in unknown_inputs(plan, job_order).items():
        _logger.warning("%s: there is no input %r; it is ignored.%s", plan.name, key, meant)


def _from_working_directory(order: CwlObject) -> CwlObject:
    from cwl_prefect.cwl.binding.inputs import resolve_files

    return cast("CwlObject", resolve_files(order, directory_uri(Path.cwd()), {}))


def demand_outputs(plan: WorkflowPlan, outputs: type | None) -> None:
    """Refuse a type of outputs that was written for another workflow, or before this one was changed.

    Raises:
        UsageError: Its fields are not the workflow's outputs.
    """
    if outputs is None:
        return
    fields, ids = set(inspect.get_annotations(outputs)), {port.id for port in plan.outputs}
    for name in sorted(fields ^ ids):
        has, has_not = (outputs.__name__, plan.name) if name in fields else (plan.name, outputs.__name__)
        raise UsageError(
            f"{has} has an output {name!r}, {has_not} has not.",
            hint=f"write {outputs.__name__} again by `cwl-prefect types`.",
        )


def plain_value(value: object, cwl_type: CwlType = ANY) -> JsonValue:
    """Turn a Python value into plain CWL: models, enums, paths, tuples, and texts where a File or Directory belongs."""
    if isinstance(value, Enum):
        value = value.value
    elif isinstance(value, BaseModel):
        value = value.model_dump(by_alias=True, exclude_none=True)
    if isinstance(value, str | PurePath):
        return _plain_text(value, cwl_type)
    if isinstance(value, list | tuple):
        items = _array_items(cwl_type)
        return [plain_value(item, items) for item in value]
    if isinstance(value, Mapping):
        return _plain_mapping(value, cwl_type)
    return cast("JsonValue", value)


def _plain_text(value: str | PurePath, cwl_type: CwlType) -> JsonValue:
    found = members(cwl_type)
    a_text = any(isinstance(member, EnumType) or member in (_STRING, ANY) for member in found)
    if a_text and isinstance(value, str):
        return value
    text = str(value)
    for file_type in _FILES:
        if file_type in found:
            return {"class": file_type.name, "location" if is_url(text) else "path": text}
    return text


def _plain_mapping(value: Mapping[object, object], cwl_type: CwlType) -> CwlObject:
    records = [member for member in members(cwl_type) if isinstance(member, RecordType)]
    record = next((found for found in records if {field.name for field in found.fields} >= set(value)), None)
    types = {field.name: field.type for field in record.fields} if record is not None else {}
    return {str(key): plain_value(item, types.get(str(key), ANY)) for key, item in value.items()}


def _array_items(cwl_type: CwlType) -> CwlType:
    return next((member.items for member in members(cwl_type) if isinstance(member, ArrayType)), ANY)


def _port_annotation(port: InputPort) -> TypeForm:
    cwl_type = parse_type(port.type)
    annotation = annotation_of(cwl_type, name=port.id)
    nullable = is_optional(cwl_type) or port.required or cwl_type == ANY
    # A null takes the default, as everywhere in CWL.
    return annotation if nullable else annotation | None  # type: ignore[operator]


def openapi_schema(plan: WorkflowPlan) -> dict[str, JsonValue]:
    """Return the parameter schema of a plan's deployment, from which the Prefect UI draws its form.

    Unlike the schema that Prefect derives from a signature, it has the labels of the inputs as titles.
    """
    names = parameter_names(plan)
    fields = {names[port.id]: _shown_field(port, position) for position, port in enumerate(plan.inputs)}
    config = ConfigDict(title="Parameters", extra="forbid", protected_namespaces=())
    model = create_model("Parameters", __config__=config, **fields)  # type: ignore[call-overload]
    schema = model.model_json_schema(ref_template="#/definitions/{model}")
    for shape in schema["properties"].values():
        if shape.get("default") is None:  # it is not given, which is not the same as null
            shape.pop("default", None)
    definitions = schema.pop("$defs", {})
    return {"required": [], **schema, "definitions": definitions}


def _shown_field(port: InputPort, position: int) -> tuple[TypeForm, object]:
    cwl_type = parse_type(port.type)
    about = Field(
        title=port.label or port.id,
        description=_shown_description(port.doc, cwl_type, port.format),
        json_schema_extra={"position": position},
    )
    annotation = annotation_of(cwl_type, name=port.id)
    return Annotated[annotation, about], ... if port.required else port.default


def _shown_description(doc: str | None, cwl_type: CwlType, formats: Sequence[str] = ()) -> str:
    """Say in one line what a field of a form is for, as far as its author says it, and what it takes."""
    takes = " ".join((describe_type(without_null(cwl_type)), *formats))
    return f"{_one_line(doc)} ({takes})" if doc else takes


def annotation_of(cwl_type: CwlType, *, name: str) -> TypeForm:
    """Return the annotation that makes pydantic accept the values of a CWL type.

    Args:
        cwl_type: The type.
        name: What to call a record in forms that has no name of its own.
    """
    match cwl_type:
        case Primitive():
            return _ANNOTATIONS[cwl_type.name]
        case EnumType(symbols=symbols, name=called):
            return Annotated[Literal[symbols], Field(title=called or "one of these")]
        case ArrayType(items=items):
            return list[annotation_of(items, name=name)]  # type: ignore[misc]
        case RecordType():
            return _record_annotation(cwl_type, cwl_type.name or name)
        case UnionType():
            return functools.reduce(operator.or_, (annotation_of(member, name=name) for member in cwl_type.members))


@functools.lru_cache(maxsize=256)  # what is named several times is one definition of the schema
def _record_annotation(record: RecordType, name: str) -> TypeForm:
    fields: dict[str, TypeForm] = {}
    for field in record.fields:
        shown = Field(title=field.label or field.name, description=_shown_description(field.doc, field.type))
        fields[field.name] = Annotated[annotation_of(field.type, name=f"{name}_{field.name}"), shown]
    required = {field.name for field in record.fields if field.required}
    return _object(name, fields, required=required, title=record.label, doc=record.doc)


def _allowed(name: str) -> bool:
    is_name = name.isidentifier() and not keyword.iskeyword(name) and not name.startswith("_")
    return is_name and name not in _RESERVED and not hasattr(BaseModel, name)


def _candidates(identifier: str) -> Iterator[str]:
    base = re.sub(r"\W", "_", identifier).lstrip("_")
    if not base.isidentifier():
        base = f"input_{base}".rstrip("_")
    if not _allowed(base):
        base += "_"
    yield base
    number = 2
    while True:
        yield f"{base.rstrip('_')}_{number}"
        number += 1


def _one_line(text: str) -> str:
    return " ".join(text.split())
