"""Workflows made in Python: steps that run CWL tools, written as CWL, so that they are checked as any document is."""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import JsonValue
from ruamel.yaml import YAML

from cwl_prefect.errors import UsageError

StepInput: TypeAlias = str | Sequence[str] | Mapping[str, JsonValue]
"""Where a step's input comes from: an input, as ``reads``, or a step's output, as ``align/bam``; several of them; or a
step input as CWL writes it, as ``{"default": 5}`` (CWL Workflow, §WorkflowStepInput)."""

ScatterMethod: TypeAlias = Literal["dotproduct", "nested_crossproduct", "flat_crossproduct"]

_EXPRESSIONS = ("StepInputExpressionRequirement", "InlineJavascriptRequirement")


@dataclass(frozen=True, slots=True)
class Workflow:
    """A workflow that is made step by step; each method returns a new one.

    :func:`cwl_prefect.run`, ``run_sync``, ``load_flow`` and ``deploy`` take it in place of a document. It is checked
    then, as its CWL text would be.

    Attributes:
        name: Its name, of letters, digits, ``-``, ``_`` and ``.``.

    Examples:
        >>> from cwl_prefect import FakeBackend, Workflow, run_sync
        >>> made = (
        ...     Workflow("greetings")
        ...     .input("messages", "string[]")
        ...     .step("hello", "examples/cwl/hello/hello.cwl", inputs={"message": "messages"}, scatter="message")
        ...     .output("greetings", "hello/greeting", "File[]")
        ... )
        >>> result = run_sync(made, {"messages": ["hi", "ho"]}, backend=FakeBackend())
        >>> [file["basename"] for file in result.outputs["greetings"]]
        ['greeting.txt', 'greeting.txt']
    """

    name: str
    _inputs: Mapping[str, JsonValue] = field(default_factory=dict, repr=False)
    _steps: Mapping[str, "_Step"] = field(default_factory=dict, repr=False)
    _outputs: Mapping[str, Mapping[str, JsonValue]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\w[\w.-]*", self.name):
            hint = "use letters, digits, -, _ and . only."
            raise UsageError(f"{self.name!r} cannot be the name of a workflow.", hint=hint)

    def input(self, name: str, type: JsonValue, *, default: JsonValue = None, doc: str | None = None) -> "Workflow":
        """Return the workflow with one more input.

        Args:
            name: Its name.
            type: Its type as CWL writes it, as ``File[]`` or ``int?``.
            default: Its value where none is given.
            doc: What it is for.
        """
        _demand_new(name, self._inputs)
        said = {"type": type, "default": default, "doc": doc}
        return replace(
            self, _inputs={**self._inputs, name: {key: value for key, value in said.items() if value is not None}}
        )

    def step(
        self,
        name: str,
        tool: "str | Path | Workflow",
        *,
        inputs: Mapping[str, StepInput] | None = None,
        scatter: str | Sequence[str] = (),
        scatter_method: ScatterMethod | None = None,
        when: str | None = None,
    ) -> "Workflow":
        """Return the workflow with one more step.

        Args:
            name: Its name.
            tool: What it runs: the path of a CWL document, from the working directory, or another workflow.
            inputs: Where the tool's inputs come from.
            scatter: Inputs of which each gets the items of an array, one a call.
            scatter_method: How several of them combine (CWL Workflow, §ScatterMethod).
            when: Expression that decides whether the step runs, as ``$(inputs.go)``.
        """
        _demand_new(name, self._steps)
        ports = (scatter,) if isinstance(scatter, str) else tuple(scatter)
        made = _Step(tool=tool, inputs=dict(inputs or {}), scatter=ports, scatter_method=scatter_method, when=when)
        return replace(self, _steps={**self._steps, name: made})

    def output(self, name: str, source: str | Sequence[str], type: JsonValue) -> "Workflow":
        """Return the workflow with one more output.

        Args:
            name: Its name.
            source: Where it comes from, as ``align/bam``; or several such places.
            type: Its type as CWL writes it.
        """
        _demand_new(name, self._outputs)
        return replace(self, _outputs={**self._outputs, name: {"type": type, "outputSource": _plain(source)}})

    def to_cwl(self) -> str:
        """Return the workflow as a CWL v1.2 document in YAML; paths of tools are as they were given."""
        text = io.StringIO()
        YAML().dump({"cwlVersion": "v1.2", **self.process()}, text)
        return text.getvalue()

    def process(self) -> dict[str, JsonValue]:
        """Return the workflow as CWL writes it within a document."""
        used = list(self._sources())
        return {
            "class": "Workflow",
            "label": self.name,
            "requirements": {name: {} for name in self._requirements()},
            "inputs": dict(self._inputs),
            "steps": {name: step.written(_ports(name, used)) for name, step in self._steps.items()},
            "outputs": {name: dict(output) for name, output in self._outputs.items()},
        }

    def _sources(self) -> Iterator[str]:
        for step in self._steps.values():
            for given in step.inputs.values():
                yield from _texts(given.get("source") if isinstance(given, Mapping) else _plain(given))
        for output in self._outputs.values():
            yield from _texts(output["outputSource"])

    def _requirements(self) -> Iterator[str]:
        steps = self._steps.values()
        if any(step.scatter for step in steps):
            yield "ScatterFeatureRequirement"
        if any(isinstance(step.tool, Workflow) for step in steps):
            yield "SubworkflowFeatureRequirement"
        several = (isinstance(output["outputSource"], list) for output in self._outputs.values())
        if any(several) or any(step.merges for step in steps):
            yield "MultipleInputFeatureRequirement"
        if any(step.evaluates for step in steps):
            yield from _EXPRESSIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """One step of a workflow that is made."""

    tool: str | Path | Workflow
    inputs: Mapping[str, StepInput]
    scatter: tuple[str, ...]
    scatter_method: ScatterMethod | None
    when: str | None

    @property
    def merges(self) -> bool:
        """Whether an input has several sources."""
        given = (value.get("source") if isinstance(value, Mapping) else _plain(value) for value in self.inputs.values())
        return any(isinstance(source, list) for source in given)

    @property
    def evaluates(self) -> bool:
        """Whether an expression has to be evaluated."""
        return self.when is not None or any(isinstance(v, Mapping) and "valueFrom" in v for v in self.inputs.values())

    def written(self, outputs: list[JsonValue]) -> dict[str, JsonValue]:
        """Return the step as CWL writes it."""
        method = self.scatter_method or ("dotproduct" if len(self.scatter) > 1 else None)
        said: dict[str, JsonValue] = {
            "run": self.tool.process() if isinstance(self.tool, Workflow) else str(self.tool),
            "scatter": list(self.scatter) or None,
            "scatterMethod": method,
            "when": self.when,
            "in": {
                name: dict(given) if isinstance(given, Mapping) else {"source": _plain(given)}
                for name, given in self.inputs.items()
            },
            "out": outputs,
        }
        return {key: value for key, value in said.items() if value is not None}


def _plain(source: str | Sequence[str]) -> JsonValue:
    return source if isinstance(source, str) else list(source)


def _texts(source: JsonValue) -> Iterator[str]:
    yield from (each for each in (source if isinstance(source, list) else [source]) if isinstance(each, str))


def _ports(step: str, sources: Sequence[str]) -> list[JsonValue]:
    """Return the outputs of a step that something reads."""
    return [*dict.fromkeys(source.removeprefix(f"{step}/") for source in sources if source.startswith(f"{step}/"))]


def _demand_new(name: str, known: Mapping[str, object]) -> None:
    if name in known:
        raise UsageError(f"{name!r} is there already.", hint="give another name.")
