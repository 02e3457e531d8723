"""Tags of the flow run that begins, and of nothing within it.

Prefect gives the tags of its context to every task run as well, and asks the API for a limit of each.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from prefect.context import TagsContext

_OUTSIDE: ContextVar[frozenset[str] | None] = ContextVar("cwl_prefect_tags_outside", default=None)


@contextmanager
def tagged(tags: Iterable[str]) -> Iterator[None]:
    """Let the flow run that begins here have tags, beside those that its caller gives by ``prefect.tags``."""
    outside = frozenset(TagsContext.get().current_tags)
    token = _OUTSIDE.set(outside)
    try:
        with TagsContext(current_tags=outside.union(tags)):
            yield
    finally:
        _OUTSIDE.reset(token)


@contextmanager
def untagged() -> Iterator[None]:
    """Let what begins within the flow run have only the tags that its caller gives by ``prefect.tags``."""
    outside = _OUTSIDE.get()
    if outside is None:
        yield
        return
    with TagsContext(current_tags=set(outside)):
        yield
