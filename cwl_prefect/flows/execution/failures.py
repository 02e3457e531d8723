"""Failures of a run that goes on, and what its parts gave."""

from collections.abc import Iterable, Sequence
from typing import Any

from prefect import State
from prefect._internal.result_records import ResultRecordMetadata  # prefect.results has it only for itself
from prefect.states import Failed

from cwl_prefect.errors import CwlPrefectError, PublishError, ServerError, StepError
from cwl_prefect.flows.execution.gates import NotStartedError
from cwl_prefect.flows.execution.run import Progress, RunReport
from cwl_prefect.model.values import CwlObject
from cwl_prefect.settings import OnError


class IncompleteError(StepError):
    """Steps of a subworkflow, or calls of a scatter, failed, which were noted one by one; the others were done.

    Attributes:
        outputs: Its outputs; what comes from a failure is null.
    """

    def __init__(self, step: str, *, outputs: CwlObject, why: str = "some of its steps failed.") -> None:
        super().__init__(f"{step}: {why}", step=step)
        self.outputs = outputs


MOST_TOLD = 20  # failures after the first

_STATE_NAMES = {OnError.FINISH: "Unfinished", OnError.CONTINUE: "Partial"}
_WORDS = {
    OnError.FINISH: "what ran was let to its end, nothing more was started and nothing was published",
    OnError.CONTINUE: "all that does not depend on it was done, and the outputs that exist were published",
}


def failed_state(report: RunReport, on_error: OnError) -> State[object] | None:
    """Return the failed state of a run whose name and message say what was done after a step failed.

    None where on_error is stop, or no step failed but its results could not be published: the error says all then.
    """
    error = report.errors[0]
    if on_error is OnError.STOP or isinstance(error, PublishError):
        return None
    message = f"{error.message.splitlines()[0]} ({_WORDS[on_error]})"
    return Failed(name=_STATE_NAMES[on_error], message=message, data=error)


def told_failures(errors: Sequence[CwlPrefectError]) -> str:
    """Return what failed: all of the first failure, and of some others the first line of each."""
    lines = [str(errors[0]), *(error.message.splitlines()[0] for error in errors[1 : MOST_TOLD + 1])]
    if len(errors) > len(lines):
        lines.append(f"… and {len(errors) - len(lines)} more failures")
    return "\n".join(lines)


def first_failure(errors: Sequence[BaseException]) -> BaseException:
    """Return the first error that is a failure of its own, or the first where there is none."""
    return next((error for error in errors if not isinstance(error, NotStartedError)), errors[0])


def in_order(errors: Iterable[CwlPrefectError]) -> list[CwlPrefectError]:
    """Put failures of their own before calls that only were not started."""
    return sorted(errors, key=lambda error: isinstance(error, NotStartedError))


def remains(end: CwlObject | CwlPrefectError | None) -> CwlObject | None:
    """Return the outputs of what ended well, and what could still be given by what failed."""
    if isinstance(end, IncompleteError):
        return end.outputs
    return None if isinstance(end, CwlPrefectError) else end


def keep_failures(progress: Progress, errors: Sequence[CwlPrefectError], *, recorded: bool) -> None:
    """Keep the failures of a part of a run for its report, unless that part is to be tried again.

    Args:
        progress: That of the run.
        errors: The failures.
        recorded: Whether the calls of that part are task runs of their own, which had all their tries by themselves.

    Raises:
        CwlPrefectError: Another try is due for one of them, which is a try of the whole part.
    """
    again = None if recorded else next((error for error in errors if error.try_again), None)
    if again is not None:
        raise again
    note(progress, errors)


def note(progress: Progress, errors: Iterable[BaseException]) -> None:
    """Keep failures for the report of a run, each once."""
    for error in errors:
        if isinstance(error, CwlPrefectError) and not isinstance(error, IncompleteError | NotStartedError):
            progress.failures.append(error)


async def result_of(state: State[object], *, raise_on_failure: bool = True) -> Any:
    """Return the result of a run of this process, or raise the exception that ended it.

    A result that lies where an API says is not read: that would unpickle, and so run, what others put there.

    Raises:
        ServerError: The API answered with such a state.
    """
    if isinstance(state.data, ResultRecordMetadata):
        raise ServerError(
            f"Prefect's API answered that the run is {state.name} with a result that this process did not make.",
            hint="check that PREFECT_API_URL is the server that you mean.",
        )
    return await state.aresult(raise_on_failure=raise_on_failure)
