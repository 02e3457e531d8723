"""What tests of workflows assert, with messages that say what was instead."""

from collections.abc import Sequence
from typing import Protocol

from cwl_prefect.errors import CwlPrefectError
from cwl_prefect.testing.fakes import FakeCall


class Ended(Protocol):
    """A run that ended, or the simulation of one."""

    @property
    def errors(self) -> Sequence[CwlPrefectError]:
        """Why it failed."""
        ...


def assert_completed(ended: Ended) -> None:
    """Assert that nothing failed; what did is told whole.

    Raises:
        AssertionError: Something failed.

    Examples:
        >>> from cwl_prefect import FakeBackend, run_sync
        >>> from cwl_prefect.testing import assert_completed
        >>> assert_completed(run_sync("examples/cwl/hello/hello.cwl", backend=FakeBackend()))
    """
    if ended.errors:
        raise AssertionError("\n".join(("the run failed:", *(str(error) for error in ended.errors))))


def assert_called(calls: Sequence[FakeCall], step: str, *, times: int | None = None) -> None:
    """Assert that the tool of a step was called, tries counted one by one.

    Args:
        calls: Those of FakeTools or of a Simulation.
        step: Path of the step, as ``prepare.align``.
        times: How often; at least once where it is None.

    Raises:
        AssertionError: It was not, or not so often.
    """
    found = sum(call.step == step for call in calls)
    if found == times or (times is None and found):
        return
    others = ", ".join(dict.fromkeys(call.step for call in calls)) or "nothing"
    wanted = "at least once" if times is None else f"{times} times"
    raise AssertionError(f"{step} was called {found} times and not {wanted}; called were: {others}")
