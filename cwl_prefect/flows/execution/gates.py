"""What must not be started any more: after a failure with on_error=finish, or when a scatter fails again and again."""

import asyncio
from collections.abc import Iterable

from cwl_prefect.errors import CwlPrefectError, ImageError, StepError


class NotStartedError(StepError):
    """A call was not started, because something else failed; that failure is told, and this is not."""


class Gate:
    """Lets calls begin until it is closed; what runs is not touched."""

    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        """Let nothing more begin."""
        self.closed = True


class Stop(Gate):
    """Closed by the failure that ends the run with on_error=stop, before what the failed call held goes to others."""

    async def hold(self) -> None:
        """Let who would begin now wait until it is cancelled, which it is as soon as the failure is told."""
        if self.closed:
            await asyncio.get_running_loop().create_future()


class Breaker(Gate):
    """Closes when the calls of a scatter that end first all fail alike, since the others would fail too.

    Alike are failures of the same kind with the same exit status; images that cannot be had have none.

    Args:
        step: Name of the step, for the error.
        most: How many calls decide; None: it never closes.
        count: How many calls there are.
    """

    def __init__(self, step: str, *, most: int | None, count: int) -> None:
        super().__init__()
        self._step = step
        self._most = most
        self._count = count
        self._failures: list[StepError | ImageError] | None = []  # None: decided
        self._alike: StepError | ImageError | None = None

    @property
    def errors(self) -> tuple[StepError, ...]:
        """What to tell where it closed."""
        if self._alike is None:
            return ()
        error = StepError(
            f"{self._step}: the first {self._most} calls to end failed alike, so no more of its {self._count} calls "
            f"were started. The first was: {self._alike.message.splitlines()[0]}",
            step=self._step,
            hint="mend the cause of that failure; raise or unset CWL_PREFECT_CIRCUIT_BREAKER to try all calls.",
        )
        return (error,)

    def passed(self) -> None:
        """Count a call that ended well."""
        self._failures = None

    def failed(self, error: CwlPrefectError) -> None:
        """Count a failure that is final."""
        if self._most is None or self._failures is None:
            return
        if not isinstance(error, StepError | ImageError) or (self._failures and not _alike(self._failures[0], error)):
            self._failures = None
            return
        self._failures.append(error)
        if len(self._failures) >= self._most:
            self._alike, self._failures = self._failures[0], None
            self.close()


def any_closed(gates: Iterable[Gate]) -> bool:
    """Check whether nothing may begin behind these gates."""
    return any(gate.closed for gate in gates)


def _alike(one: StepError | ImageError, other: StepError | ImageError) -> bool:
    return type(one) is type(other) and _exit_status(one) == _exit_status(other)


def _exit_status(error: StepError | ImageError) -> int | None:
    return error.exit_status if isinstance(error, StepError) else None
