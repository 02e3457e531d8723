"""Whether a signal such as Ctrl-C ends what runs here: a run that is cancelled then is interrupted, and not broken."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_SIGNALLED: ContextVar[Callable[[], bool] | None] = ContextVar("cwl_prefect_signalled", default=None)


@contextmanager
def heeding(signalled: Callable[[], bool]) -> Iterator[None]:
    """Let what runs meanwhile know that it is cancelled because of a signal.

    Args:
        signalled: Tells whether there was one.
    """
    token = _SIGNALLED.set(signalled)
    try:
        yield
    finally:
        _SIGNALLED.reset(token)


def is_signalled() -> bool:
    """Check whether there was a signal that ends what runs here."""
    signalled = _SIGNALLED.get()
    return signalled is not None and signalled()
