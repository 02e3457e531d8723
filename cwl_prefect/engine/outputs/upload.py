"""The results of a run, delivered to a URL: nothing there says that they are before all of them are."""

import asyncio
import json
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path, PurePosixPath

from pydantic import JsonValue

from cwl_prefect._lib.destinations import below
from cwl_prefect._lib.hashing import checksum_of
from cwl_prefect._lib.locations import shown_url
from cwl_prefect.engine.outputs.placement import Copied, Made, Placement, Written
from cwl_prefect.engine.outputs.publish import MANIFEST
from cwl_prefect.errors import PublishError, StorageError
from cwl_prefect.model.values import CwlObject, as_object, file_objects
from cwl_prefect.storage.uploads import Place, Standing, Upload

_logger = logging.getLogger(__name__)

REPLACED = f"{MANIFEST}.replaced"
"""Name of the manifest that was there, while what it names is being replaced."""

_PROBE = ".cwl-prefect-write-check-"


async def demand_writable(place: Place, run_id: str, *, again: bool, overwrite: bool) -> None:
    """Check that results can be uploaded, by writing a small object and removing it, before anything is run for them.

    Args:
        place: Where they are to go.
        run_id: The run, which names that object.
        again: Whether an earlier driver of the run may have delivered them.
        overwrite: Whether the results of an earlier run may be replaced.

    Raises:
        PublishError: They cannot, or those of another run are there.
        UsageError: No package for such URLs is installed.
    """
    with _told(place):
        if not (again or overwrite) and MANIFEST in await place.names():
            raise PublishError(
                f"{shown_url(place.url)} holds the results of another run, and nothing there is replaced.",
                hint="choose another --outdir, or give --overwrite.",
            )
        content = b"cwl-prefect looks whether results can be written here.\n"
        probe = _upload(f"{_PROBE}{run_id}", content)
        await place.upload([probe], replaced={probe.target})
        await place.remove([probe.target])


async def upload(
    outputs: CwlObject,
    place: Place,
    *,
    inputs: CwlObject | None = None,
    overwrite: bool = False,
    fixed: frozenset[str] = frozenset(),
) -> CwlObject:
    """Upload every File and Directory of an output object.

    An object is whole when it appears, and :data:`MANIFEST` comes last. What is there already with the same content is
    not uploaded again: so a run that was killed goes on, whoever finishes it. What has another content stays, and the
    output gets another name, unless it may be replaced. Inputs of the run are never replaced. An empty directory is
    only told by the output object: object stores have none.

    Args:
        outputs: Of a run; files may have a local path or URI, be literals, or lie elsewhere and stay there.
        place: Where they go.
        inputs: Job order of the run.
        overwrite: Whether what is there may be replaced.
        fixed: Names of directories that must have no other, as links lead there.

    Returns:
        The output object with the URL, basename, size and checksum of every file, and every directory's listing.

    Raises:
        PublishError: The outputs cannot be read, or not be uploaded.
    """
    with _told(place):
        kept = frozenset(_names_of_inputs(inputs or {}, place.url))
        earlier = await _delivered_before(place) if overwrite else frozenset()
        placed, uploads, standing = await _placed(outputs, place, kept, None if not overwrite else earlier, fixed)
        if overwrite:
            await _retract(place, standing.strangers)
        missing = [each for each in uploads if each.target not in standing.there]
        await place.upload(missing, replaced=standing.different)
        await _tell(place, placed, replaced=overwrite)
        if overwrite:
            await place.remove([REPLACED])
    return placed


async def _placed(
    outputs: CwlObject, place: Place, kept: frozenset[str], replaceable: Collection[str] | None, fixed: frozenset[str]
) -> tuple[CwlObject, list[Upload], Standing]:
    """Return outputs with places that they can have, the files to be there, and what is there.

    Args:
        outputs: Those of the run.
        place: Where they go.
        kept: Names of inputs.
        replaceable: Paths of what an earlier run delivered, where what is there may be replaced; None: it may not.
        fixed: Names of directories that must have no other.
    """
    reserved = kept | {MANIFEST, REPLACED}
    while True:
        placement = Placement(destination=place.url, reserved=reserved)
        placed = as_object(await asyncio.to_thread(placement.place, outputs))
        _demand_names(fixed, placement, place)
        uploads = list(_uploads(placement.deliveries, placed, place.url))
        standing = await place.standing(uploads)
        others = standing.strangers.union(standing.different) if replaceable is None else standing.strangers
        taken = {path.partition("/")[0] for path in others.difference(replaceable or ())}
        _tell_renamed(place, kept & placement.asked, "is an input of this run and stays")
        if not taken:
            return placed, uploads, standing
        _tell_renamed(place, taken & placement.asked, "is there already with another content")
        reserved |= taken


def _demand_names(fixed: frozenset[str], placement: Placement, place: Place) -> None:
    taken = fixed.difference(each.target for each in placement.deliveries if isinstance(each, Made))
    for name in sorted(taken):
        raise PublishError(
            f"{shown_url(place.url)}/{name} is taken, and the links of a catalog lead there.",
            hint="choose another --outdir, give --overwrite, or let the tool name its directory otherwise.",
        )


def _uploads(deliveries: Iterable[Copied | Written | Made], placed: CwlObject, url: str) -> Iterator[Upload]:
    """Yield every file that is to be uploaded, once."""
    sources: dict[str, Path | bytes] = {}
    for delivery in deliveries:
        if isinstance(delivery, Copied):
            sources[delivery.target] = delivery.source
        elif isinstance(delivery, Written):
            sources[delivery.target] = delivery.text.encode("utf-8", "surrogateescape")
    files = {str(file["location"]): file for file in file_objects(placed) if file["class"] == "File"}
    for location, file in files.items():
        target = location.removeprefix(f"{url}/")
        source = _source(target, sources) if target != location else None
        size, checksum = file.get("size"), file.get("checksum")
        if source is not None and isinstance(size, int) and isinstance(checksum, str):
            _demand_text(target)
            yield Upload(target=target, source=source, size=size, checksum=checksum)


def _demand_text(target: str) -> None:
    try:
        target.encode()
    except UnicodeEncodeError as error:
        raise PublishError(
            f"an output has the name {target!r}, which is no text in UTF-8; no object can be called so.",
            hint="let the tool give it another name, or choose a directory by --outdir.",
        ) from error


def _source(target: str, sources: Mapping[str, Path | bytes]) -> Path | bytes | None:
    """Return where a file comes from: it is delivered by itself, or within a directory."""
    if target in sources:
        return sources[target]
    for parent in PurePosixPath(target).parents:
        source = sources.get(str(parent))
        if isinstance(source, Path):
            return source / PurePosixPath(target).relative_to(parent)
    return None


async def _delivered_before(place: Place) -> frozenset[str]:
    """Return the paths of what an earlier run delivered here, by its manifest; nothing where that is no manifest."""
    found: set[str] = set()
    for name in (MANIFEST, REPLACED):
        content = await place.read(name)
        try:
            earlier: JsonValue = json.loads(content or b"{}")
        except ValueError:
            continue
        locations = (str(file.get("location")) for file in file_objects(earlier))
        found |= {each.removeprefix(f"{place.url}/") for each in locations if each.startswith(f"{place.url}/")}
    return frozenset(found)


async def _retract(place: Place, strangers: frozenset[str]) -> None:
    """Let nothing say any more that earlier results are there, and remove what of their directories is not replaced."""
    content = await place.read(MANIFEST)
    if content is not None:
        await place.upload([_upload(REPLACED, content)], replaced={REPLACED})
        await place.remove([MANIFEST])
    await place.remove(strangers)


async def _tell(place: Place, placed: CwlObject, *, replaced: bool) -> None:
    """Write the manifest; where that of another run came meanwhile, under another name."""
    content = (json.dumps(placed, indent=2, allow_nan=False) + "\n").encode()
    for number in count(1):
        stem, dot, suffix = MANIFEST.partition(".")
        manifest = _upload(MANIFEST if number == 1 else f"{stem}_{number}{dot}{suffix}", content)
        standing = await place.standing([manifest])
        if standing.different and not replaced:
            _tell_renamed(place, [manifest.target], "is of another run that has delivered there meanwhile")
            continue
        if not standing.there:
            await place.upload([manifest], replaced=standing.different)
        return


def _names_of_inputs(inputs: CwlObject, url: str) -> Iterator[str]:
    for found in file_objects(inputs):
        location = str(found.get("location") or "")
        if location.startswith(f"{url}/"):
            yield location.removeprefix(f"{url}/").partition("/")[0]


def _upload(target: str, content: bytes) -> Upload:
    return Upload(target=target, source=content, size=len(content), checksum=checksum_of(content))


def _tell_renamed(place: Place, names: Iterable[str], why: str) -> None:
    for name in sorted(names):
        _logger.warning("%s %s; the output has another name", below(place.url, name), why)


@contextmanager
def _told(place: Place) -> Iterator[None]:
    """Raise whatever keeps results from being uploaded as one kind of error.

    Raises:
        PublishError: Something did.
    """
    try:
        yield
    except StorageError as error:
        what = f"the outputs cannot be written to {shown_url(place.url)}"
        if error.missing:
            raise PublishError(
                f"{what}: there is no such bucket.", hint="make it, or choose another --outdir."
            ) from error
        raise PublishError(f"{what}: {error.message}", hint=error.hint) from error
    except OSError as error:
        raise PublishError(f"the outputs cannot be read: {error}", hint="run again.") from error
