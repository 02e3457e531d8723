"""Results of runs that Prefect persisted, as it may for flow runs of deployments: removed with the run, never read."""

import asyncio
import logging
import re
from collections.abc import Iterable
from pathlib import Path
from uuid import UUID

import fsspec
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import BlockDocument, State
from prefect.exceptions import PrefectException
from prefect.settings import get_current_settings

from cwl_prefect._lib.locations import REMOTE_SCHEMES, scheme_of

_KEY = re.compile(r"[0-9a-f]{32}")  # names that Prefect gives to results; another was not made for a run of ours

_logger = logging.getLogger(__name__)


async def remove_results(client: PrefectClient, run_id: UUID) -> None:
    """Remove what Prefect persisted as the results of a run, and warn of what has to be removed elsewhere.

    Which files they are is what the API says: only names as Prefect gives them are taken, and on this machine only
    regular files of Prefect's own storage.
    """
    for key, block_id in _persisted(await client.read_flow_run_states(run_id)):
        place = key
        try:
            block = None if block_id is None else await client.read_block_document(block_id)
            place = key if block is None else f"{key} of the block {block.block_type_name}/{block.name}"
            removed = await asyncio.to_thread(_remove, key, block)
        except (OSError, ValueError, ImportError, PrefectException) as error:
            _logger.debug("%s cannot be removed: %s", place, error)
            removed = False
        if not removed:
            _logger.warning("Prefect persisted a result of the run as %s: remove it there.", place)


def _persisted(states: Iterable[State[object]]) -> set[tuple[str, UUID | None]]:
    """Return the keys of the results of some states, each with the block of its storage, where it is in one."""
    found = (getattr(state.data, "metadata", state.data) for state in states)
    metadata = ((getattr(each, "storage_key", None), getattr(each, "storage_block_id", None)) for each in found)
    return {(key, block_id) for key, block_id in metadata if isinstance(key, str)}


def _remove(key: str, block: BlockDocument | None) -> bool:
    """Remove a result, and return whether it is gone.

    Raises:
        OSError: It cannot be removed.
        ValueError: The store is none.
        ImportError: What reaches the store is not installed.
    """
    directory, _, name = key.rpartition("/")
    if not _KEY.fullmatch(name):
        return False
    if block is None:
        own = get_current_settings().results.local_storage_path.expanduser().resolve()
        return Path(directory).resolve() == own and _remove_file(own / name)
    base = str(block.data.get("basepath") or "").rstrip("/")
    if directory or not base:
        return False
    if block.block_type_name == "Local File System":
        return _remove_file(Path(base, name).expanduser())
    if block.block_type_name != "Remote File System" or scheme_of(base) not in REMOTE_SCHEMES:
        return False
    store = fsspec.filesystem(scheme_of(base), **dict(block.data.get("settings") or {}))
    if store.exists(f"{base}/{name}"):
        store.rm_file(f"{base}/{name}")
    return True


def _remove_file(path: Path) -> bool:
    if path.is_file() and not path.is_symlink():
        path.unlink()
    return path.parent.is_dir() and not path.exists()
