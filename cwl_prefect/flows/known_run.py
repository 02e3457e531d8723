"""A run whose workspaces are on this machine, and whether it can be resumed."""

from dataclasses import dataclass
from pathlib import Path

from cwl_prefect.engine.manifest import Outcome, RunManifest
from cwl_prefect.flows.claim import is_driven

SHORTEST_ID = 4
"""How many characters of an id may stand for it."""


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
