"""What a CWL document is compiled into: an immutable, self-contained plan.

A plan is JSON all the way down (:func:`encode_plan`, :func:`decode_plan`), so that it can be cached by digest, carried
by a deployment and run on another machine. The terms are those of the CWL v1.2 Workflow Description.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, NewType, TypeAlias

from pydantic import ConfigDict, JsonValue, TypeAdapter, ValidationError, with_config
from pydantic_core import from_json

from cwl_prefect.model.plan_formats import PLAN_FORMAT, migrated

StepId = NewType("StepId", str)
"""Identifier of a step within its own workflow, without any path."""

Places: TypeAlias = dict[str, str]
"""Where parts of a process or step stand, as ``tools/align.cwl:3:5``: by their names in errors, as ``input reads``,
expressions by their texts, the whole by an empty text. Paths start from the directory of the plan's own document."""


class ProcessClass(StrEnum):
    """Class of a process that is not a Workflow."""

    COMMAND_LINE_TOOL = "CommandLineTool"
    EXPRESSION_TOOL = "ExpressionTool"
    OPERATION = "Operation"


class LinkMerge(StrEnum):
    """How several sources become one value (CWL Workflow, §LinkMergeMethod)."""

    NESTED = "merge_nested"
    FLATTENED = "merge_flattened"


class PickValue(StrEnum):
    """Which of several sources are taken (CWL Workflow, §PickValueMethod)."""

    FIRST_NON_NULL = "first_non_null"
    THE_ONLY_NON_NULL = "the_only_non_null"
    ALL_NON_NULL = "all_non_null"


class ScatterMethod(StrEnum):
    """How several scattered ports combine (CWL Workflow, §ScatterMethod)."""

    DOTPRODUCT = "dotproduct"
    NESTED_CROSSPRODUCT = "nested_crossproduct"
    FLAT_CROSSPRODUCT = "flat_crossproduct"


class LoopOutput(StrEnum):
    """What a loop gives: its last iteration's outputs or all of them (CWL v1.3 draft, §LoopOutputMethod)."""

    LAST_ITERATION = "last_iteration"
    ALL_ITERATIONS = "all_iterations"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One end of a link."""

    step: StepId | None  # None: an input of the workflow itself
    port: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Where one port's value comes from.

    The order of evaluation is the specification's: sources, then default where they give null, then linkMerge and
    pickValue, then valueFrom (CWL Workflow, §WorkflowStepInput).
    """

    port: str
    sources: tuple[Source, ...] = ()
    link_merge: LinkMerge | None = None
    pick_value: PickValue | None = None
    value_from: str | None = None
    default: JsonValue = None  # null and absent are the same to CWL
    load_contents: bool = False
    load_listing: str | None = None
    single: bool = True  # False: `source` was written as a list, so that a lone source is still merged


@dataclass(frozen=True, slots=True, kw_only=True)
class Scatter:
    """Which ports a step is scattered over, in the document's order."""

    ports: tuple[str, ...]
    method: ScatterMethod


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """A step that runs again while its ``when`` holds (CWL v1.3 draft, §Loop)."""

    when: str
    links: tuple[Link, ...]  # sources name the step's own outputs (step=None: its own inputs)
    output: LoopOutput


@dataclass(frozen=True, slots=True, kw_only=True)
class InputPort:
    """An input parameter of a workflow or tool."""

    id: str
    type: JsonValue  # CWL type: a name, a list (union) or a record/enum/array schema; names are short
    label: str | None = None
    doc: str | None = None
    default: JsonValue = None
    format: tuple[str, ...] = ()

    @property
    def required(self) -> bool:
        """Whether a job order must give it."""
        optional = isinstance(self.type, list) and "null" in self.type
        return not optional and self.type not in ("null", "Any") and self.default is None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputPort:
    """An output parameter; ``link`` is None for a tool, whose outputs are collected."""

    id: str
    type: JsonValue
    label: str | None = None
    doc: str | None = None
    link: Link | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolPlan:
    """A process that is run by itself: its document, and the requirements that apply to it once inherited."""

    kind: Literal["tool"] = "tool"
    digest: str
    name: str
    process_class: ProcessClass
    document: dict[str, JsonValue]  # upgraded to the internal CWL version, without requirements and hints
    requirements: tuple[dict[str, JsonValue], ...]  # weakest first
    hints: tuple[dict[str, JsonValue], ...]  # weakest first
    cwl_version: str  # as the author wrote it
    inputs: tuple[InputPort, ...]
    outputs: tuple[OutputPort, ...]
    image: str | None = None  # what DockerRequirement asks for, for people to read


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPlan:
    """One step of a workflow."""

    id: StepId
    run: "ToolPlan | WorkflowPlan"
    links: tuple[Link, ...]
    outputs: tuple[str, ...]
    label: str | None = None
    doc: str | None = None
    when: str | None = None
    scatter: Scatter | None = None
    loop: Loop | None = None
    requirements: tuple[dict[str, JsonValue], ...] = ()  # for the step's own expressions
    hints: tuple[dict[str, JsonValue], ...] = ()
    stage: bool = (
        False  # it stages data as the user's settings ask, and is given their credentials; no document says so
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedFile:
    """A file or directory of this machine, or of the web, that a document names itself."""

    location: str
    place: str  # where it does, for people
    included: bool = False  # by $include, $import or $schemas: its text is part of the document


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowPlan:
    """A compiled workflow; its steps are in topological order."""

    kind: Literal["workflow"] = "workflow"
    format: int = PLAN_FORMAT
    digest: str
    name: str
    label: str | None = None
    doc: str | None = None
    cwl_version: str
    document: dict[str, JsonValue]  # the workflow's own input declarations, for defaulting and validation
    requirements: tuple[dict[str, JsonValue], ...]
    hints: tuple[dict[str, JsonValue], ...]
    inputs: tuple[InputPort, ...]
    steps: tuple[StepPlan, ...]
    outputs: tuple[OutputPort, ...]
    namespaces: tuple[tuple[str, str], ...] = ()  # prefixes for formats in job orders, of the outermost plan only
    ontology: tuple[tuple[str, str, str], ...] = field(default=())  # format hierarchy, of the outermost plan only
    origin: str | None = None  # where the document was read; not part of the digest
    named_files: tuple[NamedFile, ...] = ()  # of the outermost plan only; not part of the digest
    as_written: bool = True  # its document alone gives it: no job order overrides it, and it is no part of another
    places: dict[str, Places] = field(default_factory=dict)
    """Of the outermost plan, for people, not part of the digest: of its inputs and outputs by an empty text, of tools
    by digest, of steps by path, as ``prepare.align``, of the subworkflows that they run with a dot behind it."""


def places_in(plan: WorkflowPlan, what: str) -> Places:
    """Return where the parts of a tool, step, subworkflow or the plan stand, with paths as its own document has one."""
    found, directory = plan.places.get(what, {}), os.path.dirname((plan.origin or "").partition("#")[0])  # noqa: PTH120
    if not directory or "://" in directory:
        return found
    return {part: place if "://" in place else os.path.join(directory, place) for part, place in found.items()}  # noqa: PTH118


_PLAN = TypeAdapter(WorkflowPlan)  # made once, by whoever imports this: a process that stands by did so already


def requirement(
    requirements: Sequence[Mapping[str, JsonValue]], hints: Sequence[Mapping[str, JsonValue]], name: str
) -> Mapping[str, JsonValue] | None:
    """Find the requirement of a class that applies: the last one, requirements before hints.

    CWL Workflow, §Requirements and hints.
    """
    every = (*reversed(requirements), *reversed(hints))
    return next((entry for entry in every if entry["class"] == name), None)


def named_types(requirements: Iterable[Mapping[str, JsonValue]]) -> dict[str, JsonValue]:
    """Return the types that SchemaDefRequirement declares, by name."""
    types = (entry["types"] for entry in requirements if entry["class"] == "SchemaDefRequirement")
    return {
        str(declared["name"]): declared
        for each in types
        if isinstance(each, list)
        for declared in each
        if isinstance(declared, dict)
    }


def encode_plan(plan: WorkflowPlan, *, indent: int | None = None) -> bytes:
    """Write a plan as JSON; equal plans give equal bytes."""
    return _PLAN.dump_json(plan, indent=indent, exclude_defaults=False)


def decode_plan(text: bytes | str) -> WorkflowPlan:
    """Read a plan back, also one of an earlier format.

    Raises:
        ValueError: The text is not a plan.
        PlanFormatError: It is one of a later version.
    """
    with suppress(ValidationError):
        plan = _PLAN.validate_json(text)
        if plan.format == PLAN_FORMAT:
            return plan
    return _PLAN.validate_python(migrated(from_json(text)))
