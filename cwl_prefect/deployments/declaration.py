"""Deployments that a YAML file declares: many at once, each as ``deploy`` makes one."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, ValidationError

from cwl_prefect._lib import quantities
from cwl_prefect._lib.locations import is_url
from cwl_prefect._lib.suggestions import near
from cwl_prefect.cwl.binding.inputs import parse_job_order
from cwl_prefect.cwl.binding.job_orders import read_text, resolved_order
from cwl_prefect.deployments.changes import changes
from cwl_prefect.deployments.connection import connected
from cwl_prefect.deployments.deployment import DEFAULT_NAME, DeploymentRequest, apply, prepare
from cwl_prefect.errors import UsageError
from cwl_prefect.flows.prefect_names import demand_name
from cwl_prefect.model.deployment import CollisionStrategy
from cwl_prefect.model.plan import WorkflowPlan
from cwl_prefect.model.values import REFERENCE
from cwl_prefect.settings import Settings
from cwl_prefect.storage.services.registries import WORKFLOW

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.responses import DeploymentResponse
    from pydantic_core import ErrorDetails

_GROUP = "cwl-prefect-group:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What a file declares.

    Attributes:
        group: Name by which its deployments are known as its own, if it has one.
        requests: The deployments.
    """

    group: str | None
    requests: tuple[DeploymentRequest, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What becomes of a deployment.

    Attributes:
        full_name: ``flow/deployment``.
        sign: ``+`` where it is new, ``~`` where it changes, ``=`` where it does not, ``-`` where it is removed.
        what: What of it changes.
    """

    full_name: str
    sign: str
    what: tuple[str, ...] = ()


def read_declaration(path: Path, compiled: Callable[[str], WorkflowPlan]) -> Declaration:
    """Read a file of deployments; paths in it are relative to it.

    Args:
        path: The file.
        compiled: Compiles a document.

    Raises:
        DocumentError: A document is not valid CWL.
        InputError: The file cannot be read.
        UsageError: It declares something that no deployment has.
    """
    text, _ = read_text(path)
    try:
        read = _File.model_validate(parse_job_order(text, source=str(path)))
    except ValidationError as error:
        raise UsageError(f"{path}: {'; '.join(map(_problem, error.errors(include_url=False)))}.") from error
    if read.group is not None:
        demand_name(read.group, of="group")
    tags = () if read.group is None else (f"{_GROUP}{read.group}",)
    requests = tuple(entry.request(path.absolute().parent, compiled, tags) for entry in read.deployments)
    names = [(request.plan.name, request.name) for request in requests]
    for flow, name in names:
        if names.count((flow, name)) > 1:
            raise UsageError(f"{path}: {flow}/{name} is declared twice.", hint="give one of them another `name`.")
    return Declaration(group=read.group, requests=requests)


async def declare(declaration: Declaration, settings: Settings, *, dry_run: bool, prune: bool) -> AsyncIterator[Change]:
    """Make or update all deployments of a file, and yield what became of each.

    Args:
        declaration: What is declared.
        settings: Settings.
        dry_run: Whether nothing is done.
        prune: Whether deployments that the file declared earlier, and does not now, are removed.

    Raises:
        CwlPrefectError: One of them cannot be, as for ``deploy``; none is changed then.
        UsageError: The file names no group, and what it declared earlier is to be removed.
    """
    if prune and declaration.group is None:
        raise UsageError("--prune knows by its `group` what a file declared, and it has none.", hint="add a `group`.")
    async with connected(settings) as connection:
        prepared = [await prepare(request, connection) for request in declaration.requests]
        for each in prepared:
            if not dry_run:
                await apply(each, connection)
            what = () if each.before is None else changes(each.before, each.wanted)
            yield Change(full_name=each.full_name, sign="+" if each.before is None else "~" if what else "=", what=what)
        if not prune:
            return
        kept = {each.full_name for each in prepared}
        async for full_name, deployment in _of_group(f"{_GROUP}{declaration.group}", connection.client):
            if full_name not in kept:
                if not dry_run:
                    await connection.client.delete_deployment(deployment.id)
                yield Change(full_name=full_name, sign="-")


async def _of_group(tag: str, client: "PrefectClient") -> "AsyncIterator[tuple[str, DeploymentResponse]]":
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags

    tagged = DeploymentFilter(tags=DeploymentFilterTags(all_=[tag]))
    for deployment in await client.read_deployments(deployment_filter=tagged):
        flow = await client.read_flow(deployment.flow_id)
        yield f"{flow.name}/{deployment.name}", deployment


def _listed(value: object) -> object:
    return [value] if isinstance(value, str | int | float) else value


def _interval(value: object) -> object:
    return timedelta(seconds=quantities.seconds(str(value)))


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    document: str
    pool: str
    name: str = DEFAULT_NAME
    image: str | None = None
    cron: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    interval: Annotated[tuple[Annotated[timedelta, BeforeValidator(_interval)], ...], BeforeValidator(_listed)] = ()
    timezone: str | None = None
    parameters: dict[str, JsonValue] = Field(default_factory=dict)
    inputs_file: str | None = None
    job_variables: dict[str, JsonValue] = Field(default_factory=dict)
    concurrency_limit: int | None = Field(default=None, ge=1)
    collision_strategy: CollisionStrategy | None = None
    tags: tuple[str, ...] = ()
    queue: str | None = None
    priority: int | None = Field(default=None, ge=1)

    def request(
        self, directory: Path, compiled: Callable[[str], WorkflowPlan], tags: Sequence[str]
    ) -> DeploymentRequest:
        """Return what is asked for; a file says all of a deployment, so that nothing stays from before."""
        given = dict(self)
        del given["document"]
        return DeploymentRequest(
            **given
            | {
                "plan": compiled(located(self.document, directory)),
                "crons": given.pop("cron"),
                "intervals": given.pop("interval"),
                "parameters": resolved_order(self.parameters, directory),
                "inputs_file": None if self.inputs_file is None else located(self.inputs_file, directory),
                "tags": (*self.tags, *tags),
                "move": True,
                "reset": True,
            }
        )


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    group: str | None = None
    deployments: tuple[_Entry, ...]


def located(source: str, directory: Path) -> str:
    """Return a document or job order for workers, who run elsewhere: its path whole, its URL or ``$ref`` as it is."""
    named = source == REFERENCE or is_url(source) or source.startswith((WORKFLOW, "file:"))
    return source if named else str(directory / source)


def _problem(error: "ErrorDetails") -> str:
    """Return what is wrong with a field, by its place."""
    place = ".".join(str(part + 1) if isinstance(part, int) else part for part in error["loc"])
    if error["type"] != "extra_forbidden":
        return f"{place}: {error['msg'].lower()}"
    fields = _Entry.model_fields if len(error["loc"]) > 1 else _File.model_fields
    meant = near(str(error["loc"][-1]), fields)
    return f"{place}: there is no such field" + (f"; did you mean {meant}?" if meant else "")
