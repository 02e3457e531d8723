"""Files that steps change in place, one after the other (CWL CommandLineTool, §InplaceUpdateRequirement)."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from cwl_prefect.cwl.access.host_files import HostFiles
from cwl_prefect.errors import StepError
from cwl_prefect.model.job import BoundCall, EntryKind
from cwl_prefect.model.plan import ToolPlan, requirement
from cwl_prefect.model.values import CwlObject

GENERATION = "http://commonwl.org/cwltool#generation"
CHANGEABLE = (EntryKind.WRITABLE_FILE, EntryKind.WRITABLE_DIRECTORY)
"""What a call changes in place where it updates its inputs."""


def updates_in_place(tool: ToolPlan) -> bool:
    """Check whether a tool may ask to change its inputs in place."""
    names = ("InplaceUpdateRequirement", "http://commonwl.org/cwltool#InplaceUpdateRequirement")
    return any(requirement(tool.requirements, tool.hints, name) is not None for name in names)


def in_place(call: BoundCall, host_files: HostFiles) -> BoundCall:
    """Return a call that changes in place only what a step of the run made; it gets copies of other files.

    Raises:
        StepError: It would change some of both.
    """
    changed = [entry.source for entry in call.entries if entry.kind in CHANGEABLE]
    if not call.inplace_update or not changed:
        return call
    made = [host_files.is_made(source) for source in changed]
    if any(made) and not all(made):
        raise StepError(
            f"{changed[made.index(False)]} cannot be changed in place, as no step of this run made it.",
            hint="Let a step copy the file first, and take its output.",
        )
    return call if all(made) else replace(call, inplace_update=False)


@dataclass(slots=True)
class Updates:
    """How often each file was changed in place, so that nobody reads or changes an earlier state of it."""

    _generations: dict[str, int] = field(default_factory=dict)

    def begin(self, changed: Iterable[CwlObject], read: Iterable[CwlObject]) -> None:
        """Let a call read files and change others.

        Raises:
            StepError: A file was changed since the call was given it.
        """
        changes = {str(found["location"]): found for found in changed}
        for location, found in changes.items():
            self._demand_current(location, found)
        for found in read:
            if str(found["location"]) not in changes:
                self._demand_current(str(found["location"]), found)
        for location in changes:
            self._generations[location] = self._generations.get(location, 0) + 1

    def marked(self, found: CwlObject) -> CwlObject:
        """Return a file that a call gave with the state that it is in."""
        return {**found, GENERATION: self._generations.get(str(found.get("location")), 0)}

    def _demand_current(self, location: str, found: CwlObject) -> None:
        if found.get(GENERATION, 0) != self._generations.get(location, 0):
            raise StepError(
                f"{location} was changed in place by another step since it was given to this one.",
                hint="Let the step take the file from the output of the step that changes it.",
            )
