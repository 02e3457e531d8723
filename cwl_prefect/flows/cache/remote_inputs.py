"""What the values of a run name at URLs, fetched before anything reads it."""

import asyncio
import os
from functools import partial
from pathlib import Path
from threading import Event

from cwl_prefect.cwl.access.host_files import HostFiles
from cwl_prefect.flows.cache.call_cache import CallCache
from cwl_prefect.model.plan import ToolPlan
from cwl_prefect.model.values import CwlObject
from cwl_prefect.settings import Settings
from cwl_prefect.storage.downloads import downloads_of
from cwl_prefect.storage.fetching import fetched, names_remote


async def local(values: CwlObject, settings: Settings, host_files: HostFiles, cache: CallCache | None) -> CwlObject:
    """Return values of which every File and Directory lies on this machine.

    Args:
        values: Of a workflow or call.
        settings: Those of the run.
        host_files: What its calls may read; what is fetched is added.
        cache: Is told checksums.

    Raises:
        UsageError: No file system takes a URL, or its package is not installed.
        StorageError: Something cannot be read or stored.
        InputError: A file has not the checksum that its object gives.
    """
    if not names_remote(values, catalogs=settings.stage_in is not None):
        return values
    stop = Event()
    try:
        note = partial(_note, host_files, cache)
        return await asyncio.to_thread(fetched, values, downloads_of(settings), stop, note)
    except asyncio.CancelledError:
        stop.set()
        raise


def with_remote_defaults(tool: ToolPlan, values: CwlObject, *, catalogs: bool) -> CwlObject:
    """Return the inputs of a call with those defaults of its tool that apply and are to be fetched."""
    defaults = {
        port.id: port.default
        for port in tool.inputs
        if port.default is not None and values.get(port.id) is None and names_remote(port.default, catalogs=catalogs)
    }
    return {**values, **defaults} if defaults else values


def _note(host_files: HostFiles, cache: CallCache | None, path: Path, checksum: str | None) -> None:
    """Let the calls of a run read what was fetched, and know its checksum."""
    host_files.fetched.add(os.path.realpath(path))
    if cache is not None and checksum is not None:
        cache.checksums.remember(path, path.stat(), checksum, lasting=True)
