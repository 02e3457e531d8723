"""A run whose workspaces are on this machine, and whether it can be resumed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cwl_prefect.engine.records.manifest import Outcome, RunManifest
from cwl_prefect.errors import InputError
from cwl_prefect.flows.driver_lock import is_driven

SHOWN = 10
KILLED = "Killed"
"""What is said of a run that nobody drives and that has not ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRun:
    """A run of this machine, and where its workspaces are."""

    directory: Path
    manifest: RunManifest

    @property
    def refusal(self) -> str | None:
        """Why it cannot be resumed, or None where it can."""
        if is_driven(self.directory):
            return "it is running"
        if self.manifest.outcome is Outcome.COMPLETED:
            return "it is complete"
        return None

    @property
    def state(self) -> str:
        """How it is, in a word."""
        if is_driven(self.directory):
            return "Running"
        return KILLED if self.manifest.outcome is Outcome.RUNNING else self.manifest.outcome.value.title()


def several(run: str, found: Sequence[tuple[str, str, datetime | None]]) -> InputError:
    """Return the error that a text may mean any of several runs.

    Args:
        run: The text.
        found: Id, state and beginning of each; the latest are shown first.
    """
    latest = sorted(found, key=lambda one: 0.0 if one[2] is None else one[2].timestamp(), reverse=True)
    shown = [f"  {run_id}  {state:<11}  {local_time(began)}".rstrip() for run_id, state, began in latest[:SHOWN]]
    if len(latest) > SHOWN:
        shown.append(f"  … and {len(latest) - SHOWN} more")
    return InputError("\n".join([f"{run} may be any of {len(latest)} runs:", *shown]), hint="give the whole id.")


def local_time(moment: datetime | None) -> str:
    """Write a moment in the time of this machine, to the second; empty where it is not known."""
    return "" if moment is None else f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"
