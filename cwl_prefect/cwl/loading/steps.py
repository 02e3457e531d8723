"""Why the steps of a workflow do not fit what they run, where cwltool says so without a place or without a name."""

from collections.abc import Iterator, Mapping
from typing import Any

from cwltool.context import LoadingContext
from cwltool.process import shortname
from schema_salad.exceptions import SchemaSaladException
from schema_salad.utils import aslist

from cwl_prefect._lib.suggestions import did_you_mean, near
from cwl_prefect.cwl.loading.places import place_of
from cwl_prefect.errors import Fault

Entry = Mapping[str, Any]
_SCATTER = "ScatterFeatureRequirement"
_SUBWORKFLOW = "SubworkflowFeatureRequirement"


def faults_of_steps(workflow: Entry, context: LoadingContext) -> tuple[Fault, ...]:
    """Return what is wrong with the steps of a workflow that could not be put together."""
    required = {entry["class"] for entry in (*(context.requirements or ()), *workflow.get("requirements", ()))}
    found: list[Fault] = []
    for step in workflow.get("steps", ()):
        known = required | {entry["class"] for entry in step.get("requirements", ())}
        run = _process(step.get("run"), context)
        found += _of_features(step, run, known)
        if run is not None:
            found += _of_ports(step, run)
    return tuple(found)


def _process(run: Any, context: LoadingContext) -> Entry | None:
    """Return what a step runs, as it was read."""
    if isinstance(run, Mapping):
        return run
    loader: Any = context.loader
    try:
        found, _ = loader.resolve_ref(run)
    except (SchemaSaladException, OSError, ValueError, TypeError):
        return None
    return found if isinstance(found, Mapping) else None


def _of_features(step: Entry, run: Entry | None, required: set[str]) -> Iterator[Fault]:
    name = shortname(step["id"])
    ports = aslist(step.get("scatter") or [])
    if ports and _SCATTER not in required:
        yield Fault(
            place=place_of(step, "scatter"),
            text=f"step {name!r} is scattered, but the workflow does not require {_SCATTER}.",
            fix=f"Add `{_SCATTER}: {{}}` to the requirements of the workflow.",
        )
    if len(ports) > 1 and not step.get("scatterMethod"):
        yield Fault(
            place=place_of(step, "scatter"),
            text=f"step {name!r} is scattered over {len(ports)} inputs without saying how they combine.",
            fix="Add `scatterMethod: dotproduct` (first with first), flat_crossproduct or nested_crossproduct (all with"
            " all).",
        )
    if run is not None and run.get("class") == "Workflow" and _SUBWORKFLOW not in required:
        yield Fault(
            place=place_of(step, "run"),
            text=f"step {name!r} runs a workflow, but the workflow around it does not require {_SUBWORKFLOW}.",
            fix=f"Add `{_SUBWORKFLOW}: {{}}` to the requirements of the outer workflow.",
        )


def _of_ports(step: Entry, run: Entry) -> Iterator[Fault]:
    name = shortname(step["id"])
    given = {shortname(entry["id"]): number for number, entry in enumerate(step["in"])}
    inputs = {shortname(entry["id"]): entry for entry in run.get("inputs", ())}
    outputs = [shortname(entry["id"]) for entry in run.get("outputs", ())]
    for port in (port for port, entry in inputs.items() if port not in given and not _is_optional(entry)):
        wrong = near(port, (other for other in given if other not in inputs))
        yield Fault(
            place=place_of(step, "in") if wrong is None else place_of(step["in"], given[wrong]),
            text=f"step {name!r} gives no value to the required input {port!r} of what it runs"
            + ("." if wrong is None else f"; it gives one to {wrong!r}, which is not there."),
            fix=f"Write `{port}: SOURCE` in its `in`." if wrong is None else f"Write {port!r} instead of {wrong!r}.",
        )
    for number, output in enumerate(step["out"]):
        short = shortname(output["id"] if isinstance(output, Mapping) else output)
        if short not in outputs:
            yield Fault(
                place=place_of(step["out"], number),
                text=f"what the step {name!r} runs has no output {short!r};"
                f" {did_you_mean(short, outputs, otherwise='it has')}",
            )


def _is_optional(entry: Entry) -> bool:
    declared = entry.get("type")
    return "default" in entry or declared == "null" or (isinstance(declared, list) and "null" in declared)
