"""Failures of a run that goes on."""

from collections.abc import Awaitable, Iterable, Sequence

from prefect import State
from prefect.states import Failed

from cwl_prefect.errors import CwlPrefectError, PublishError, StepError
from cwl_prefect.flows.halt import NotStartedError
from cwl_prefect.flows.run import Caller
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


_STATE_NAMES = {OnError.FINISH: "Unfinished", OnError.CONTINUE: "Partial"}
_WORDS = {
    OnError.FINISH: "what ran was let to its end, nothing more was started and nothing was published",
    OnError.CONTINUE: "all that does not depend on it was done, and the outputs that exist were published",
}


async def told_by_state(ending: Awaitable[CwlObject], caller: Caller) -> CwlObject | State[object]:
    """Await a run's outputs; where steps failed, give the failed state whose name and message say what was done then.

    Raises:
        CwlPrefectError: A step failed and on_error is stop; or no step did, but the run as a whole.
    """
    try:
        return await ending
    except CwlPrefectError as error:
        on_error = caller.settings.on_error
        if on_error is OnError.STOP or error not in caller.errors or isinstance(error, PublishError):
            raise
        message = f"{error.message.splitlines()[0]} ({_WORDS[on_error]})"
        return Failed(name=_STATE_NAMES[on_error], message=message, data=error)


def first_failure(errors: Sequence[BaseException]) -> BaseException:
    """Give the first error that is a failure of its own, or the first where there is none."""
    return next((error for error in errors if not isinstance(error, NotStartedError)), errors[0])


def in_order(errors: Iterable[CwlPrefectError]) -> list[CwlPrefectError]:
    """Put failures of their own before calls that only were not started."""
    return sorted(errors, key=lambda error: isinstance(error, NotStartedError))


def remains(end: CwlObject | CwlPrefectError | None) -> CwlObject | None:
    """Give the outputs of what ended well, and what could still be given by what failed."""
    if isinstance(end, IncompleteError):
        return end.outputs
    return None if isinstance(end, CwlPrefectError) else end


def keep_failures(caller: Caller, errors: Sequence[CwlPrefectError], *, recorded: bool) -> None:
    """Keep the failures of a part of a run for its caller, unless that part is to be tried again.

    Args:
        caller: The caller.
        errors: The failures.
        recorded: Whether the calls of that part are task runs of their own, which had all their tries by themselves.

    Raises:
        CwlPrefectError: Another try is due for one of them, which is a try of the whole part.
    """
    again = None if recorded else next((error for error in errors if error.try_again), None)
    if again is not None:
        raise again
    note(caller, errors)


def note(caller: Caller, errors: Iterable[BaseException]) -> None:
    """Keep failures for the caller of a run, each once."""
    for error in errors:
        if isinstance(error, CwlPrefectError) and not isinstance(error, IncompleteError | NotStartedError):
            caller.errors.append(error)
