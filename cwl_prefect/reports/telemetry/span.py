"""A span of a run as a whole, before OpenTelemetry knows it."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from cwl_prefect.model.names import without_indices
from cwl_prefect.model.trace_ids import TraceIds
from cwl_prefect.reports.record import CallTry

Attribute: TypeAlias = str | int | float | bool | Sequence[str]

_MIB = 2**20
KILLED = "killed"
"""State of what a driver was killed in."""

_FAILED = ("failed", "retrying", KILLED)
_ID_OF_CONTAINER = {"docker": "container.id", "kubernetes": "k8s.pod.name", "local": "process.pid"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpan:
    """A span.

    Attributes:
        name: Its name, which begins with the kind of what it is about.
        identifier: Its identifier.
        parent: Identifier of the span that it is a part of; None: of none.
        began_s: When it began, in seconds since 1970.
        ended_s: When it ended.
        attributes: What is known of it.
        moments: What happened meanwhile, and when.
        links: Other spans, by how they are related to this one; with the identifiers of their driver's.
        error: Why it failed; None: it did not.
    """

    name: str
    identifier: int
    parent: int | None
    began_s: float
    ended_s: float
    attributes: Mapping[str, Attribute]
    moments: Mapping[str, float] = field(default_factory=dict)
    links: Mapping[str, int] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedStep:
    """A step that ended; moments are seconds since 1970."""

    step: str
    began_s: float
    ended_s: float
    state: str
    message: str | None = None


def step_span(ids: TraceIds, found: EndedStep, *, parent: int) -> RunSpan:
    """Return the span of a step that ended."""
    return RunSpan(
        name=f"step {without_indices(found.step)}",
        identifier=ids.step(found.step),
        parent=parent,
        began_s=found.began_s,
        ended_s=found.ended_s,
        attributes={"cwl.step": found.step, "cwl.state": found.state},
        error=found.message or found.state if found.state in _FAILED else None,
    )


def parent_of(step: str, ids: TraceIds, subworkflows: Container[str]) -> int:
    """Return the span of the call of a subworkflow that a step is in, or of the run.

    Args:
        step: Path of the step.
        ids: Identifiers of the driver.
        subworkflows: Names of the calls of subworkflows that began.
    """
    call = step
    while "." in call:
        call = call.rpartition(".")[0]
        if call in subworkflows:
            return ids.call(call)
    return ids.run


def call_span(
    ids: TraceIds, found: CallTry, *, number: int, began_s: float, links: Mapping[str, int] | None = None
) -> RunSpan:
    """Return the span of a try of a call.

    Args:
        ids: Identifiers of the driver that tried it.
        found: What is known of the try.
        number: Which try it was, counted from 1.
        began_s: When it began, where that is not known by the try itself.
        links: Other spans, by how they are related to this one.
    """
    return RunSpan(
        name=f"call {without_indices(found.step)}",
        identifier=ids.call(found.call, number),
        parent=ids.step(found.step),
        began_s=found.prepared_at or began_s,
        ended_s=found.at,
        attributes={"cwl.try": number, **_attributes(found)},
        moments=_moments(found),
        links=links or {},
        error=found.message or found.state if found.state in _FAILED else None,
    )


def _attributes(found: CallTry) -> Mapping[str, Attribute]:
    """Return what is known of a try; by the semantic conventions of OpenTelemetry where they have a name for it."""
    container = _ID_OF_CONTAINER.get(found.backend or "", "container.id")
    known: dict[str, Attribute | None] = {
        "cwl.step": found.step,
        "cwl.call": found.call,
        "cwl.state": found.state,
        "cwl.backend": found.backend,
        "cwl.reason": found.reason,
        "cwl.requested.cores": found.cores,
        "cwl.requested.memory": _in_bytes(found.ram_mib),
        "cwl.cpu.time": found.cpu_s,
        "cwl.memory.peak": _in_bytes(found.peak_memory_mib),
        "cwl.disk.read": found.read_bytes,
        "cwl.disk.written": found.written_bytes,
        "cwl.cache.saved": found.saved_s,
        "process.exit.code": found.exit_code,
        "host.name": found.node,
        "container.image.name": found.image,
        "container.image.repo_digests": None if found.image_digest is None else (found.image_digest,),
        container: found.container,
        "error.type": (found.reason or found.state) if found.state in _FAILED else None,
    }
    return {name: value for name, value in known.items() if value is not None}


def _moments(found: CallTry) -> Mapping[str, float]:
    known = {"ready": found.ready_at, "command started": found.started_at, "command ended": found.ended_at}
    return {name: at for name, at in known.items() if at is not None}


def _in_bytes(mebibytes: float | None) -> int | None:
    return None if mebibytes is None else round(mebibytes * _MIB)
