"""Failures of a run that goes on."""

from collections.abc import Iterable

from cwl_prefect.errors import CwlPrefectError, StepError
from cwl_prefect.flows.run import Caller
from cwl_prefect.model.values import CwlObject


class IncompleteError(StepError):
    """Steps of a subworkflow failed, which were noted one by one; its other steps were done.

    Attributes:
        outputs: Its outputs; what comes from a failed step is null.
    """

    def __init__(self, step: str, *, outputs: CwlObject) -> None:
        super().__init__(f"{step}: some of its steps failed.", step=step)
        self.outputs = outputs


def note(caller: Caller, errors: Iterable[BaseException]) -> None:
    """Keep failures for the caller of a run, each once."""
    for error in errors:
        if isinstance(error, CwlPrefectError) and not isinstance(error, IncompleteError):
            caller.errors.append(error)
