"""What a user changes about single steps without touching the document."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, ValidationError

from cwl_prefect._lib import quantities
from cwl_prefect.errors import UsageError

OVERRIDES = frozenset({"cwl:requirements", "cwltool:overrides"})
"""Keys of a job order that change the document."""


def _mebibytes(value: object) -> object:
    """Return a size in MiB that is a number, or a text with a unit as ``512M`` or ``8G``."""
    return quantities.mebibytes(value) if isinstance(value, str) else value


Mebibytes = Annotated[float, BeforeValidator(_mebibytes), Field(gt=0, allow_inf_nan=False)]


class ResourcesOverride(BaseModel):
    """Resources of a step in place of what its document asks for; None: as the document says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cores: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    ram: Mebibytes | None = None
    tmpdir: Mebibytes | None = None
    outdir: Mebibytes | None = None
    gpus: Annotated[int, Field(ge=0)] | None = None


class ToolOverride(BaseModel):
    """What applies to a step's tool in place of what its document says, wherever the step runs.

    Its ``default_resources`` are those of which the document says nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    image: Annotated[str, Field(min_length=1)] | None = None
    resources: ResourcesOverride = ResourcesOverride()
    default_resources: ResourcesOverride = ResourcesOverride()
    env: dict[str, str] = Field(default_factory=dict)
    concurrency: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)


TOOL_MEMBERS = frozenset(ToolOverride.model_fields)
"""Members of a step's override that say something about the tool; all others are job variables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """One pattern of step names with what applies to the steps that it fits.

    Attributes:
        pattern: Names of steps without indexes, as ``prepare.align``, where ``*`` and ``?`` stand for anything.
        source: Who says so, for errors.
        tool: What applies to the tool.
        variables: Job variables of the pool for these steps.
    """

    pattern: str
    source: str
    tool: ToolOverride = field(default_factory=ToolOverride)
    variables: Mapping[str, JsonValue] = field(default_factory=dict)


def read_override(pattern: str, members: object, source: str) -> Override:
    """Read what was written for one pattern.

    Raises:
        UsageError: It is no mapping, or says something about the tool that cannot be.
    """
    if not pattern.strip() or not isinstance(members, Mapping):
        raise UsageError(
            f"{source}: the step override {pattern!r} must map the name of a step to a mapping.",
            hint='write it as {"prepare.align": {"resources": {"ram": "8G"}}}.',
        )
    try:
        tool = ToolOverride.model_validate({key: value for key, value in members.items() if key in TOOL_MEMBERS})
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in (pattern, *problem["loc"]))
        raise UsageError(
            f"{source}: the step override {where}: {problem['msg'].removeprefix('Value error, ')}.",
            hint="resources are cores, ram, tmpdir, outdir (MiB, or a unit as 8G) and gpus; image is a text, env a "
            "mapping of texts, concurrency one of names of limits to whole numbers.",
        ) from error
    variables = {str(key): value for key, value in members.items() if key not in TOOL_MEMBERS}
    return Override(pattern=pattern, source=source, tool=tool, variables=variables)


def combined(overrides: list[ToolOverride]) -> ToolOverride:
    """Put overrides of one step over each other, later ones stronger; of mappings member by member."""
    merged = ToolOverride()
    for override in overrides:
        resources = override.resources.model_dump(exclude_none=True)
        defaults = override.default_resources.model_dump(exclude_none=True)
        merged = ToolOverride(
            image=override.image or merged.image,
            resources=merged.resources.model_copy(update=resources),
            default_resources=merged.default_resources.model_copy(update=defaults),
            env={**merged.env, **override.env},
            concurrency={**merged.concurrency, **override.concurrency},
        )
    return merged
