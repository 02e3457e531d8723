"""Which job variables make a step's container: a pure function of the work pool, its users and the step's name.

Layers, each stronger than the one before::

    pool template  <  deployment's job variables  <  run's job variables  <  the step's CWL requirements
                                                                          <  overrides for that step

:meth:`JobVariables.for_step` merges the first three and those overrides that are job variables; Prefect then fills the
template with them (``from_template_and_values``). What the document requires is written onto the result by the
backend. Overrides of the tool itself (image, resources, environment) change the plan before it runs
(:func:`cwl_prefect.engine.workflow.overrides.override_tools`), so that they hold on every backend and for the call
cache.

A flow run's own container comes from the same template. Its command, image, environment and limits are therefore
nothing to a step (:data:`OWNED_VARIABLES`); members of the job variable ``cwl`` are for steps alone.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import cast

from pydantic import JsonValue, TypeAdapter

from cwl_prefect.backends.job_template.tool_environment import looks_secret, tool_environment
from cwl_prefect.errors import BackendError, UsageError
from cwl_prefect.model.names import without_indices
from cwl_prefect.model.overrides import Override, ToolOverride, combined, read_override

STEP_VARIABLES = "cwl"
"""Job variable whose members apply to steps alone, over those that the flow run's own container shares."""

STEP_PATTERNS = "steps"
"""Member of that variable: by pattern of step names, what applies to those steps alone."""

OWNED_VARIABLES = frozenset({"command", "image", "name", "env", "mem_limit", "memswap_limit", "auto_remove"})
"""Job variables that describe the flow run's own container; steps decide these for themselves."""

ENTRY_POINT = "entry_point"
"""Job variable of steps on Kubernetes: the words that their image puts before every command."""

MANIFEST_MEMBERS: Mapping[str, frozenset[str]] = {
    "kubernetes": frozenset({"node_selector", "tolerations", ENTRY_POINT})
}
"""By type of pool, what steps may be given although the template has no such variable: the backend writes it itself."""

_TEMPLATE: TypeAdapter[dict[str, JsonValue]] = TypeAdapter(dict[str, JsonValue])
_PLACEHOLDER = re.compile(r"\{\{\s*([\w.-]+)\s*\}\}")
_NO_STEP_S = frozenset({"command", "image", "name", "auto_remove"})
_OWNED_PREFIXES = ("env.", "cpu_", "memory_")


class Origin(StrEnum):
    """Whose job variables they are, weakest first."""

    TEMPLATE = "pool template"
    DEPLOYMENT = "deployment"
    RUN = "run"
    SETTING = "setting step_overrides"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """Job variables of one origin."""

    origin: Origin
    variables: Mapping[str, JsonValue] = field(default_factory=dict)

    @property
    def for_steps(self) -> Mapping[str, JsonValue]:
        """Members of the variable ``cwl``, which apply to steps alone."""
        members = self.variables.get(STEP_VARIABLES)
        return members if isinstance(members, Mapping) else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class StepVariables:
    """What Prefect's ``from_template_and_values`` is to be given for the container of a step.

    Attributes:
        template: Base job template, without the defaults that describe the flow run's own container.
        values: Job variables that apply to the step; ``env`` among them is the tools' own.
        patterns: The overrides among them, by who gave them and their pattern.
        flow_run_image: Image of the flow run's own container, which others of a step's pod may name.
    """

    template: dict[str, JsonValue]
    values: dict[str, JsonValue]
    patterns: tuple[str, ...] = ()
    flow_run_image: str | None = None


@dataclass(frozen=True, kw_only=True)
class JobVariables:
    """Job variables of all steps of one run.

    Attributes:
        template: Base job template of the work pool.
        layers: What goes over it, weakest first: the deployment's, the run's, and those of the settings.
        for_single_steps: Whether overrides for single steps apply.
    """

    template: Mapping[str, JsonValue]
    layers: tuple[Layer, ...] = ()
    for_single_steps: bool = True

    def for_step(self, name: str) -> StepVariables:
        """Return what makes the container of a step.

        Args:
            name: The step's path, or a call's name; indexes are not looked at: ``prepare[2].align[3]`` is
                ``prepare.align``.
        """
        return self.with_patterns(self.patterns_of(name))

    def patterns_of(self, name: str) -> tuple[str, ...]:
        """Name the overrides that change a step's variables: steps with the same ones have the same variables."""
        return tuple(_named(override) for override in self.overrides_of(name) if override.variables)

    def with_patterns(self, patterns: tuple[str, ...]) -> StepVariables:
        """Return the variables of all steps of which :meth:`patterns_of` returns the same."""
        values = self._shared_values()
        for layer in self.all_layers:
            _put(values, {key: value for key, value in layer.for_steps.items() if key != STEP_PATTERNS})
        for override in (found for found in self.overrides if _named(found) in patterns):
            _put(values, override.variables)
        return StepVariables(
            template=self._shared_template, values=values, patterns=patterns, flow_run_image=self._flow_run_image
        )

    def for_flow_run(self) -> StepVariables:
        """Return what makes a flow run's own container, as far as steps could have it too: nothing of ``cwl``."""
        return StepVariables(
            template=self._shared_template, values=self._shared_values(), flow_run_image=self._flow_run_image
        )

    def _shared_values(self) -> dict[str, JsonValue]:
        """Return the job variables that a flow run's own container shares with steps."""
        values: dict[str, JsonValue] = {}
        for layer in self.layers:
            _put(values, {key: found for key, found in layer.variables.items() if not owned(key)})
        values.pop(STEP_VARIABLES, None)
        return values

    def tool_override(self, name: str) -> ToolOverride:
        """Return what applies to a step's tool in place of what its document says."""
        return combined([override.tool for override in self.overrides_of(name)])

    def overrides_of(self, name: str) -> list[Override]:
        """Return the overrides that fit a step, weakest first.

        Those of a later layer are stronger; within one, those that say more: an exact name, then the pattern with more
        letters of its own.
        """
        path = without_indices(name)
        return [override for override in self.overrides if fnmatchcase(path, override.pattern)]

    @cached_property
    def overrides(self) -> tuple[Override, ...]:
        """Every override for single steps, weakest first.

        Raises:
            UsageError: One cannot be read.
        """
        layers = self.all_layers if self.for_single_steps else ()
        return tuple(override for layer in layers for override in _overrides(layer))

    @cached_property
    def all_layers(self) -> tuple[Layer, ...]:
        """Every layer, with what the template itself gives steps alone as the weakest."""
        return (template_layer(self.template), *self.layers)

    @cached_property
    def _flow_run_image(self) -> str | None:
        given = [template_default(self.template, "image")]
        given += [layer.variables.get("image") for layer in self.layers]
        return next((image for image in reversed(given) if image and isinstance(image, str)), None)

    @cached_property
    def _shared_template(self) -> dict[str, JsonValue]:
        return shared_template(self.template)


def check_job_variables(variables: JobVariables, *, pool_type: str, steps: Collection[str]) -> None:
    """Check what is given to steps before a run begins.

    Args:
        variables: What is given.
        pool_type: Type of the pool whose template it is.
        steps: Paths of all steps that run a tool. A pattern of the template may fit none of them, since a pool serves
            many workflows.

    Raises:
        UsageError: A pattern fits no step, or a name is no job variable of the pool; the text says who gave it.
    """
    check_step_patterns(variables, steps=steps)
    known = (
        frozenset(_properties(variables.template)) - _NO_STEP_S | {"env"} | MANIFEST_MEMBERS.get(pool_type, frozenset())
    )
    for layer in variables.all_layers:
        _check_names(layer.for_steps, known - {STEP_VARIABLES} | {STEP_PATTERNS}, f"{layer.origin}: cwl", pool_type)
    for override in variables.overrides:
        _check_names(override.variables, known - {STEP_VARIABLES}, _named(override), pool_type)


def check_step_patterns(variables: JobVariables, *, steps: Collection[str]) -> None:
    """Check as much of what is given to steps as does not depend on a pool.

    Args:
        variables: What is given.
        steps: Paths of all steps that run a tool.

    Raises:
        UsageError: The job variable ``cwl`` or a step override is none, or a pattern fits no step; the text says who
            gave it.
    """
    for layer in variables.all_layers:
        given = layer.variables.get(STEP_VARIABLES) or {}
        patterns = layer.for_steps.get(STEP_PATTERNS) or {}
        if not isinstance(given, Mapping) or not isinstance(patterns, Mapping):
            raise UsageError(
                f"{layer.origin}: the job variable cwl must be a mapping, and so must its member steps.",
                hint='write it as {"networks": ["data"], "steps": {"prepare.align": {"image": "bwa:2"}}}.',
            )
    for override in variables.overrides:
        if override.source != Origin.TEMPLATE and not any(fnmatchcase(step, override.pattern) for step in steps):
            raise UsageError(f"{_named(override)} fits no step of the workflow.", hint=_near(override.pattern, steps))


def check_flow_run_variables(
    given: Mapping[str, JsonValue],
    template: Mapping[str, JsonValue],
    *,
    pool_type: str,
    for_steps: Mapping[str, JsonValue] | None = None,
) -> None:
    """Check the names of a deployment's job variables: what no variable or placeholder takes, Prefect ignores.

    Args:
        given: Job variables by name; ``env.NAME`` is a member of ``env``.
        template: Base job template of the pool; nothing is known about one that is empty.
        pool_type: Type of the pool.
        for_steps: Base job template of the pool for steps, where that is another one: it gets the same variables.

    Raises:
        UsageError: Neither pool has such a job variable.
    """
    templates = [template] if for_steps is None else [template, for_steps]
    if not all(templates):
        return
    known = {"env", STEP_VARIABLES}.union(*map(_names, templates))
    for name in given:
        if name.partition(".")[0] not in known:
            raise UsageError(f"{name} is no job variable of this {pool_type} pool.", hint=_near(name, known))


def _names(template: Mapping[str, JsonValue]) -> set[str]:
    """Name the variables of a job template, declared or not."""
    filled = {name.partition(".")[0] for name in placeholders(template.get("job_configuration"))} - {"prefect"}
    return filled.union(_properties(template))


def placeholders(configuration: JsonValue) -> set[str]:
    """Name the variables that some part of a job template is filled with."""
    if isinstance(configuration, str):
        return {match[1] for match in _PLACEHOLDER.finditer(configuration)}
    if not isinstance(configuration, dict | list):
        return set()
    parts = configuration.values() if isinstance(configuration, dict) else configuration
    return set().union(*map(placeholders, parts))


def template_layer(template: Mapping[str, JsonValue]) -> Layer:
    """Return what a template gives steps alone, as a layer."""
    return Layer(origin=Origin.TEMPLATE, variables={STEP_VARIABLES: template_default(template, STEP_VARIABLES)})


def owned(variable: str) -> bool:
    """Check whether a job variable describes the flow run's own container, so that steps do not take it over."""
    return variable in OWNED_VARIABLES or variable.startswith(_OWNED_PREFIXES)


def shared_template(template: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Take from a template what it gives the flow run's own container alone by default.

    Of the environment, variables of the flow run and credentials are left out; the rest is the platform's and reaches
    tools. Other values that the template fixes, without a variable, are the platform's and stay.
    """
    shared: dict[str, JsonValue] = {name: _shared(name, found) for name, found in _properties(template).items()}
    schema = template.get("variables")
    variables = {**schema, "properties": shared} if isinstance(schema, dict) else schema
    configuration = template.get("job_configuration")
    fixed = configuration.get("env") if isinstance(configuration, dict) else None
    if isinstance(configuration, dict) and isinstance(fixed, dict):
        configuration = {**configuration, "env": _for_tools(fixed)}
    changed = {"variables": variables, "job_configuration": configuration}
    return {**template, **{name: value for name, value in changed.items() if value is not None}}


def template_environment(template: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return the environment that a template gives flow runs: what it fixes, and the default of its variable."""
    configuration = template.get("job_configuration")
    fixed = configuration.get("env") if isinstance(configuration, dict) else None
    given = (fixed, template_default(template, "env"))
    return {name: value for each in given if isinstance(each, dict) for name, value in each.items()}


def template_default(template: Mapping[str, JsonValue], variable: str) -> JsonValue:
    """Return the default of a template's variable, None where it has none."""
    return _properties(template).get(variable, {}).get("default")


def packaged_template(pool_type: str) -> dict[str, JsonValue]:
    """Return the base job template that this package ships for a kind of work pool.

    Args:
        pool_type: ``docker``, ``kubernetes`` or ``process``.

    Raises:
        BackendError: There is none for this kind.
    """
    name = f"{pool_type}.json"
    for directory in (files("cwl_prefect") / "templates", Path(__file__).parents[3] / "templates"):
        candidate = directory / name
        if candidate.is_file():
            return _TEMPLATE.validate_json(candidate.read_bytes())
    raise BackendError(f"there is no job template for pools of type {pool_type}")


def _shared(name: str, attributes: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if not owned(name):
        return attributes
    kept = {key: value for key, value in attributes.items() if key != "default"}
    environment = attributes.get("default")
    if name != "env" or not isinstance(environment, dict):
        return kept
    return {**kept, "default": _for_tools(environment)}


def _for_tools(environment: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Leave out of the environment of flow runs what no tool may have."""
    open_ones = {name: cast("str | None", value) for name, value in environment.items() if not looks_secret(name)}
    return dict(tool_environment(open_ones))


def _named(override: Override) -> str:
    return f"{override.source}: the step override {override.pattern!r}"


def _check_names(given: Mapping[str, JsonValue], known: Collection[str], source: str, pool_type: str) -> None:
    for name in given:
        if name in _NO_STEP_S:
            hint = 'give an image by step: {"steps": {"*": {"image": ...}}}.' if name == "image" else None
            raise UsageError(f"{source}: steps decide their {name} themselves.", hint=hint)
        if name not in known:
            raise UsageError(f"{source}: {name} is no job variable of this {pool_type} pool.", hint=_near(name, known))


def _near(name: str, known: Collection[str]) -> str:
    near = get_close_matches(name, sorted(known), n=3, cutoff=0.5)
    all_there_are = f"there are: {', '.join(sorted(known))}."
    return f"did you mean {' or '.join(near)}? If not, {all_there_are}" if near else all_there_are


def _properties(template: Mapping[str, JsonValue]) -> dict[str, dict[str, JsonValue]]:
    schema = template.get("variables")
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    found = properties if isinstance(properties, dict) else {}
    return {name: attributes for name, attributes in found.items() if isinstance(attributes, dict)}


def _put(values: dict[str, JsonValue], layer: Mapping[str, JsonValue]) -> None:
    """Put a layer over values; the environment is merged by name, as Prefect does, all else replaced."""
    for name, value in layer.items():
        under = values.get(name)
        if name == "env" and isinstance(under, dict) and isinstance(value, dict):
            values[name] = {**under, **value}
        else:
            values[name] = value


def _overrides(layer: Layer) -> Iterator[Override]:
    patterns = layer.for_steps.get(STEP_PATTERNS)
    found = patterns if isinstance(patterns, dict) else {}
    for pattern in sorted(found, key=_specificity):
        yield read_override(pattern, found[pattern], layer.origin.value)


def _specificity(pattern: str) -> tuple[bool, int, str]:
    """Order patterns by how much they say; the order that they were written in is not kept by every database."""
    literal = re.sub(r"[*?]", "", pattern)
    return literal == pattern, len(literal), pattern
