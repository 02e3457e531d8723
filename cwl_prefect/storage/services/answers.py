"""What services tell in JSON: bounded, and read by a model."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from cwl_prefect._lib.locations import shown_url
from cwl_prefect.errors import StorageError
from cwl_prefect.settings import Settings
from cwl_prefect.storage.failures import storage_errors
from cwl_prefect.storage.filesystems import filesystem
from cwl_prefect.storage.outer import outer_only

MAX_ANSWER = 2**20
"""Bytes of the largest answer that is read."""

Model = TypeVar("Model", bound=BaseModel)


def may_be_inner(place: str) -> tuple[str, ...]:
    """Return the URLs whose hosts may be in the network of this machine where a service sends somebody.

    Args:
        place: Where the service was asked.
    """
    return (place, *Settings().allow_url)


def answer(name: str, place: str, model: type[Model], what: str) -> Model:
    """Return what a service answers.

    Args:
        name: What is asked for, as the person names it.
        place: The URL to ask, of HTTP.
        model: What the answer has to be.
        what: The same in words.

    Raises:
        StorageError: There is no answer, or it is something else.
    """
    text = _read(name, place)
    try:
        if len(text) <= MAX_ANSWER:
            return model.model_validate_json(text)
        told = "an answer of more than 1 MiB"
    except ValidationError:  # whose text shows what the server said
        told = f"no {what}"
    raise StorageError(f"{shown_url(name)} cannot be read: {shown_url(place)} gives {told}.", hint="Check the host.")


def _read(name: str, place: str) -> bytes:
    """Return the beginning of an answer, one byte more than it may have at most."""
    from fsspec.asyn import sync

    with outer_only(may_be_inner(place)):
        files, path = filesystem(place)

    async def beginning() -> bytes:
        """Read in the loop of the file system."""
        session = await files.set_session()
        text = bytearray()
        async with session.get(files.encode_url(path)) as response:
            response.raise_for_status()
            async for block in response.content.iter_any():
                text += block
                if len(text) > MAX_ANSWER:
                    break
        return bytes(text[: MAX_ANSWER + 1])

    with storage_errors("read", name):
        return bytes(sync(files.loop, beginning))
