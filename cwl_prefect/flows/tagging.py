"""Tags of flow runs: what marks a run as one of ours, and what its caller wants, but not on the task runs within it.

Prefect gives the tags of its context to every task run as well, and asks the API for a limit of each.
"""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from prefect.client.orchestration import PrefectClient
from prefect.context import FlowRunContext, TagsContext

from cwl_prefect.flows.prefect_names import MARK

_OUTSIDE: ContextVar[frozenset[str] | None] = ContextVar("cwl_prefect_tags_outside", default=None)
_logger = logging.getLogger(__name__)


@contextmanager
def tagged(tags: Iterable[str]) -> Iterator[None]:
    """Let the flow run that begins here have tags, beside those that its caller gives by ``prefect.tags``."""
    current = TagsContext.get().current_tags
    before = _OUTSIDE.get()
    token = _OUTSIDE.set(frozenset(current) if before is None else before)
    try:
        with TagsContext(current_tags=current.union(tags)):
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
    token = _OUTSIDE.set(None)
    try:
        with TagsContext(current_tags=set(outside)):
            yield
    finally:
        _OUTSIDE.reset(token)


async def marked() -> None:
    """Mark the flow run of this context where nobody did, as one of a deployment that was not made by us."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None or not isinstance(context.client, PrefectClient):
        return
    flow_run = context.flow_run
    if MARK in flow_run.tags or flow_run.parent_task_run_id is not None:
        return
    try:
        await context.client.update_flow_run(flow_run.id, tags=[*flow_run.tags, MARK])
    except Exception as error:  # noqa: BLE001 - the run is no worse without it
        _logger.debug("the flow run cannot be marked: %s", error)
