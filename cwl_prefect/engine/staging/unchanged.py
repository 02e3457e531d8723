"""Whether a tool left its inputs as they were, where nothing keeps it from changing them."""

import os
from dataclasses import dataclass

from cwl_prefect.engine.staging.layout import READ_ONLY_KINDS
from cwl_prefect.errors import StepError
from cwl_prefect.model.job import BoundCall

State = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Size, time of change and inode of each input of a call, as they were before it ran."""

    states: dict[str, State]

    @classmethod
    def of(cls, call: BoundCall) -> "Unchanged":
        """Look at the inputs that a call gets as they are."""
        sources = (entry.source for entry in call.entries if entry.kind in READ_ONLY_KINDS)
        return cls({source: state for source in sources if (state := _state(source)) is not None})

    def demand(self, *, name: str) -> None:
        """Check that all are as they were.

        Raises:
            StepError: One is not.
        """
        for source, state in self.states.items():
            if _state(source) != state:
                raise StepError(
                    f"{name}: its input {source} was changed while it ran.",
                    step=name,
                    hint="Give the tool a copy of it: list it in InitialWorkDirRequirement with `writable: true`. "
                    "In a container inputs are read-only.",
                )


def _state(path: str) -> State | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - for each input of each call
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ino
