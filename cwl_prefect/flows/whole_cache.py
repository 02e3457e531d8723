"""Subworkflows and wide scatters in the call cache: one whose every call must give the same again is found as a whole.

The calls inside are then not looked up one by one. A whole that is not found costs one look-up, and each of its calls
is still looked up by itself.
"""

import asyncio
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from cwl_prefect.cwl.reuse_inside import (
    declared_inputs,
    default_inputs,
    step_script,
    varying_inputs,
    varying_step,
    varying_tool,
)
from cwl_prefect.engine import workspace as workspaces
from cwl_prefect.engine.cache_entry import SMALL_FILE
from cwl_prefect.engine.fingerprint import Fingerprints, NotReusableError, digest, in_order, local_path
from cwl_prefect.engine.overrides import tool_steps
from cwl_prefect.engine.subworkflow_key import Inside, for_people, structure
from cwl_prefect.errors import CwlPrefectError
from cwl_prefect.flows.cache import CallCache, CallPlace, Lookup
from cwl_prefect.flows.cache_keys import FEW_FILES
from cwl_prefect.flows.run import Run
from cwl_prefect.flows.step import SMALL_OUTPUT
from cwl_prefect.model.cache import CallKey, ToolIdentity
from cwl_prefect.model.events import StepEventKind
from cwl_prefect.model.job import CallStatus, StepResult
from cwl_prefect.model.names import call_name, without_indices
from cwl_prefect.model.plan import ProcessClass, StepId, ToolPlan, WorkflowPlan
from cwl_prefect.model.values import CwlObject, CwlValue, file_objects, is_file_object
from cwl_prefect.settings import Keep

MOST_BYTES = 32 * 1024 * 1024
"""Size of an entry beyond which no whole is kept; its calls are found one by one."""

_WORTH_CALLS = 2  # of one call the whole would save next to nothing
_OF_A_FILE = 1024  # bytes that describe one file
# An output may be an input as it stands, with all its fields.
_VISIBLE = frozenset({"checksum", "contents", "format", "listing", "size"})
_OF_PLACES = frozenset({"dirname", "location", "path"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """What is looked up as a whole.

    Attributes:
        plan: The subworkflow.
        step: Path of its step.
        index: Place in its step's own scatter or loop.
        inside: What the paths of its own steps begin with.
        calls: How many calls it is made of, where it is a scatter.
    """

    plan: WorkflowPlan
    step: str
    index: tuple[int, ...] = ()
    inside: str
    calls: int = 1

    @classmethod
    def subworkflow(cls, plan: WorkflowPlan, step: str, index: tuple[int, ...]) -> "Whole":
        """Give one call of a subworkflow."""
        return cls(plan=plan, step=step, index=index, inside=f"{call_name(step, index)}.")


@dataclass(slots=True, kw_only=True)
class WholeCall:
    """A whole that was looked up.

    Attributes:
        whole: What it is.
        place: Which call it is, and where its outputs go if they are found.
        lookup: What came of it.
        spoilt: Whether a call inside could not be cached, so that the whole cannot either.
    """

    whole: Whole
    place: CallPlace
    lookup: Lookup
    spoilt: bool = False

    def note(self, cache_key: str | None) -> None:
        """Note that a call inside ended well; without a key of its own the whole has none either."""
        if cache_key is None:
            self.spoilt = True
        else:
            self.lookup.call_keys.append(cache_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Described:
    """What a subworkflow does, as its key and people know it."""

    identity: ToolIdentity
    shown: CwlObject


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What is the same for all calls of a subworkflow."""

    inside: Inside
    tools: tuple[str, ...]  # paths of its steps that run tools
    described: _Described | None  # None: it names files, which may change while the run goes on


class FoundWhole:
    """A whole that was found, as the work of a task run.

    Args:
        run: The run.
        call: The whole.
        outputs: What was found.
        names: Names of the calls that it is told as.
    """

    def __init__(self, run: Run, call: WholeCall, outputs: CwlObject, names: Iterable[str]) -> None:
        self._run = run
        self._call = call
        self._outputs = outputs
        self._names = names

    async def attempt(self) -> StepResult:
        """Tell that it was found."""
        whole, key = self._call.whole, self._call.lookup.key
        for name in self._names:
            self._run.tell_call(StepEventKind.CACHED, whole.step, name)
        return StepResult(
            step=whole.step,
            index=whole.index,
            status=CallStatus.CACHED,
            outputs=self._outputs,
            cache_key=None if key is None else key.digest,
        )


class WholeCache:
    """The call cache as the subworkflows and wide scatters of one run see it.

    Args:
        run: The run.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._known: dict[tuple[str, str], _Known | str | None] = {}  # a text says why there is no key
        self._learning = asyncio.Lock()

    async def look_up(self, whole: Whole, values: CwlObject) -> WholeCall | None:
        """Look a whole up; None where it has no key, or is not worth one.

        Args:
            whole: What it is.
            values: Its inputs, without defaults.
        """
        cache, settings = self._run.cache, self._run.settings
        if cache is None or settings.cache_expiration_s is not None:  # calls inside may be older than the whole
            return None
        known = await self._learnt(cache, whole)
        if known is None:
            return None
        space = workspaces.locate(self._run.runs, self._run.run_id, whole.step, whole.index)
        outdir = space.out if settings.keep is Keep.ALWAYS else space.root
        place = CallPlace(step=whole.step, name=call_name(whole.step, whole.index), outdir=outdir, calls=whole.calls)
        if isinstance(known, str):
            cache.refuse(place, known)
            return None
        place = replace(place, inside=known.tools)
        try:
            fingerprints, key = await _key(cache, whole.plan, known, values)
        except NotReusableError as error:
            cache.refuse(place, str(error))
            return None
        return WholeCall(whole=whole, place=place, lookup=await cache.find(key, fingerprints, place))

    async def keep(self, call: WholeCall, outputs: CwlObject) -> None:
        """Keep the outputs of a whole whose calls all ended well."""
        cache, fingerprints = self._run.cache, call.lookup.fingerprints
        if cache is None or fingerprints is None or call.spoilt or _takes_bytes(outputs) > MOST_BYTES:
            return
        home = workspaces.run_directory(self._run.runs, self._run.run_id)
        try:
            outdir = _common_directory(outputs, fingerprints.objects, home) or call.place.outdir
        except NotReusableError as error:
            cache.refuse(call.place, str(error))
            return
        place = replace(call.place, outdir=outdir, home=home)
        await cache.keep(call.lookup, outputs, place, call.whole.plan.name, quickly=_is_small(outputs))

    async def _learnt(self, cache: CallCache, whole: Whole) -> _Known | str | None:
        name = without_indices(whole.step), without_indices(whole.inside)
        if name not in self._known:
            async with self._learning:
                if name not in self._known:
                    self._known[name] = await self._learn(cache, whole.plan, name[1])
        return self._known[name]

    async def _learn(self, cache: CallCache, plan: WorkflowPlan, inside: str) -> _Known | str | None:
        if _count_calls(plan) < _WORTH_CALLS:
            return None
        try:
            parts = replace(await self._inside(cache, plan, inside, optional=False), defaults={})
            files, described = await _describe(cache, plan, parts)
        except NotReusableError as error:
            return str(error)
        except CwlPrefectError as error:  # the call that needs it will say so
            return f"what is inside cannot be told: {error.message.splitlines()[0]}"
        tools = tuple(name for name, _ in tool_steps(plan, inside))
        return _Known(inside=parts, tools=tools, described=None if files.objects else described)

    async def _inside(self, cache: CallCache, plan: WorkflowPlan, inside: str, *, optional: bool) -> Inside:
        """Gather what a subworkflow is made of.

        Args:
            cache: The cache.
            plan: The subworkflow.
            inside: What the paths of its steps begin with.
            optional: Whether it may be skipped.

        Raises:
            NotReusableError: Something inside may differ each time, or cannot be told.
            CwlPrefectError: An image cannot be had.
        """
        _refuse(inside.rstrip("."), varying_inputs(plan))
        processes: dict[StepId, CwlObject | Inside] = {}
        for step in plan.steps:
            name = f"{inside}{step.id}"
            _refuse(name, varying_step(step))
            skipped = optional or step.when is not None
            if isinstance(step.run, WorkflowPlan):
                processes[step.id] = await self._inside(cache, step.run, f"{name}.", optional=skipped)
            else:
                processes[step.id] = await self._tool(cache, step.run, name, optional=skipped)
        return Inside(
            plan=plan,
            declared=declared_inputs(plan, self._run.plan.ontology),
            processes=processes,
            scripts={step.id: step_script(step) for step in plan.steps},
            defaults=default_inputs(plan),
        )

    async def _tool(self, cache: CallCache, tool: ToolPlan, name: str, *, optional: bool) -> CwlObject:
        runner: CwlObject = {}
        if tool.process_class is ProcessClass.COMMAND_LINE_TOOL:
            backend = await self._run.backends.choose(tool, name=name)
            identity = cache.keys.identity(tool, containers=backend.capabilities.containers)
            _refuse(name, varying_tool(tool, identity))
            if optional and identity.image is not None:
                _refuse(name, "it may be skipped, and its image would be fetched all the same")
            runner = await cache.keys.runner(identity, backend, name)
        else:
            identity = cache.keys.identity(tool, containers=False)
            _refuse(name, varying_tool(tool, identity))
        return {
            "tool": dict(identity.parts),
            "requirements": dict(identity.requirements),
            "defaults": {port: in_order(value) for port, value in identity.defaults.items()},
            "runner": {part: item for part, item in runner.items() if part != "name"},
        }


async def _key(cache: CallCache, plan: WorkflowPlan, known: _Known, values: CwlObject) -> tuple[Fingerprints, CallKey]:
    """Make the key of a call, and give the fingerprints of its files and of those that the subworkflow names."""
    described, seen = known.described, {}
    if described is None:
        files, described = await _describe(cache, plan, known.inside)
        seen = files.seen
    fingerprints, key = await cache.keys.of(described.identity, values, {})
    fingerprints.seen |= seen
    return fingerprints, CallKey(digest=key.digest, parts={**key.parts, "tool": described.shown})


async def _describe(cache: CallCache, plan: WorkflowPlan, inside: Inside) -> tuple[Fingerprints, _Described]:
    return await cache.keys.fingerprinted(partial(_described, plan, inside), visible=_VISIBLE, walks=True)


def _described(plan: WorkflowPlan, inside: Inside, fingerprints: Fingerprints) -> _Described | None:
    """Describe a subworkflow; None where checksums must be computed first."""
    settle = partial(_settled, fingerprints)
    parts, shown = structure(inside, settle), for_people(inside, settle)
    if fingerprints.unread:
        return None
    identity = ToolIdentity(
        parts={"workflow": digest(parts)},
        requirements={},
        defaults=default_inputs(plan),
        ports=tuple(port.id for port in plan.inputs),
        visible=_VISIBLE,
        ordered=True,
    )
    return _Described(identity=identity, shown=shown)


def _settled(fingerprints: Fingerprints, value: CwlValue) -> CwlValue:
    """Put the fingerprints of files in their places, where there are any."""
    return fingerprints.of(value) if next(file_objects(value), None) is not None else value


def _refuse(name: str, reason: str | None) -> None:
    if reason is not None:
        raise NotReusableError(f"{name}: {reason}")


def _count_calls(plan: WorkflowPlan) -> int:
    """Count the tool calls inside as far as they can be told; of a scatter or loop there may be many."""
    found = 0
    for step in plan.steps:
        inner = _count_calls(step.run) if isinstance(step.run, WorkflowPlan) else _is_command(step.run)
        found += inner * (1 if step.scatter is None and step.loop is None else _WORTH_CALLS)
    return found


def _is_command(tool: ToolPlan) -> bool:
    return tool.process_class is ProcessClass.COMMAND_LINE_TOOL


def _common_directory(outputs: CwlObject, inputs: list[CwlObject], home: Path) -> Path | None:
    """Give the innermost directory of a run that holds all outputs but those that are inputs; None: there are none.

    Raises:
        NotReusableError: An output cannot be kept.
    """
    if _mentions(outputs, str(home)):
        raise NotReusableError("an output names a place of this run")
    given = {found.get("location") for found in inputs}
    parents: set[str] = set()
    for found in file_objects(outputs):
        location = found.get("location")
        if not isinstance(location, str):
            if "path" in found:
                raise NotReusableError(f"an output has a path and no location: {found['path']}")
            continue
        if location.startswith("_:") or location in given:
            continue
        parent = str(local_path(location).parent)
        if f"{parent}/".startswith(f"{home}/"):
            parents.add(parent)
    return Path(os.path.commonpath(parents)) if parents else None


def _mentions(value: CwlValue, text: str) -> bool:
    """Tell whether a value holds a text elsewhere than in the places of its files."""
    if isinstance(value, list):
        return any(_mentions(item, text) for item in value)
    if isinstance(value, dict):
        skipped = _OF_PLACES if is_file_object(value) else ()
        return any(name not in skipped and _mentions(item, text) for name, item in value.items())
    return isinstance(value, str) and text in value


def _is_small(outputs: CwlObject) -> bool:
    """Tell whether reading all outputs takes no longer than a hop to a thread."""
    sizes = [found.get("size") for found in file_objects(outputs)]
    known = [size for size in sizes if isinstance(size, int)]
    return len(known) == len(sizes) <= FEW_FILES and sum(known) <= SMALL_OUTPUT


def _takes_bytes(outputs: CwlObject) -> int:
    """Tell about how many bytes an entry of these outputs would have: small files lie in it."""
    sizes = (found.get("size") for found in file_objects(outputs))
    return sum(_OF_A_FILE + (size if isinstance(size, int) and size <= SMALL_FILE else 0) for size in sizes)
