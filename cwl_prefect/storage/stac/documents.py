"""Documents of STAC as somebody else wrote them: read within limits, and their names made plain."""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from importlib.util import find_spec
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, TypeAlias, cast

from pydantic import JsonValue

from cwl_prefect.errors import StorageError, UsageError
from cwl_prefect.model.values import unusable

if TYPE_CHECKING:
    from pystac import Item

Document: TypeAlias = dict[str, JsonValue]

CATALOG = "catalog.json"
"""Name of the document at the top of a directory with a catalog."""

MAX_DOCUMENT = 16 * 2**20
"""Bytes of the largest document that is read."""

MAX_DOCUMENTS = 1_000
"""Most catalogs, collections and items of one input or result."""

MAX_ASSETS = 10_000
"""Most files that the items of one input have together."""

_TYPES = ("Feature", "Catalog", "Collection")
_VALID = "Let it be an item, a catalog or a collection of STAC 1.0 or later."
_UNSAFE = re.compile(r"[^A-Za-z0-9._+-]+")
_LONGEST = 100  # characters of a name


def demand_installed() -> None:
    """Check that the package is there that reads catalogs.

    Raises:
        UsageError: It is not.
    """
    if find_spec("pystac") is None:
        raise UsageError(
            "a package that reads STAC catalogs is not installed.", hint="Run `pip install 'cwl-prefect[eo]'`."
        )


def read(content: bytes, place: str) -> Document:
    """Return a document of STAC.

    Args:
        content: Its text.
        place: Where it lies, as people may be shown it.

    Raises:
        StorageError: It is none.
    """
    if len(content) > MAX_DOCUMENT:
        raise too_large(place)
    try:
        document = json.loads(content, parse_constant=lambda _: None)  # NaN of writers who mean that it is not known
    except (ValueError, RecursionError) as error:
        raise StorageError(f"{place} cannot be read as a STAC document: it is no JSON.", hint=_VALID) from error
    why = unusable(document, files=False)
    if why is None and not (isinstance(document, dict) and document.get("type") in _TYPES):
        found = document.get("type") if isinstance(document, dict) else None
        why = f"its type is {str(found)[:40]!r}, expected one of {', '.join(_TYPES)}"
    if why is not None:
        raise StorageError(f"{place} cannot be read as a STAC document: {why}.", hint=_VALID)
    return cast("Document", document)


def too_large(place: str) -> StorageError:
    """Return the error of a document that is not read."""
    return StorageError(
        f"{place} cannot be read as a STAC document: it has more than {MAX_DOCUMENT // 2**20} MiB.",
        hint="Name the item, catalog or collection rather than its data.",
    )


def demand_few(count: int, place: str) -> None:
    """Check that a catalog has no more documents than are read.

    Raises:
        StorageError: It has more.
    """
    if count > MAX_DOCUMENTS:
        raise StorageError(
            f"{place} cannot be read: it leads to more than {MAX_DOCUMENTS} items, collections and catalogs.",
            hint="Name single items, or a smaller catalog.",
        )


def item_of(document: Document, place: str) -> "Item":
    """Return an item, as the newest version of STAC has it.

    Raises:
        StorageError: The document is no item.
    """
    from pystac import Item

    try:
        item = Item.from_dict(cast("dict[str, object]", document))
        textual = all(isinstance(text, str) for text in (item.id, *(asset.href for asset in item.assets.values())))
    except Exception as error:
        why = str(error)[:200] or type(error).__name__
        raise StorageError(f"{place} cannot be read as a STAC item: {why}.", hint=_VALID) from error
    if not textual:
        raise StorageError(f"{place} cannot be read as a STAC item: its id or an href is no text.", hint=_VALID)
    return item


def links(document: Document) -> Iterator[Mapping[str, JsonValue]]:
    """Yield the links of a document that have an href and a relation."""
    given = document.get("links")
    for link in given if isinstance(given, list) else ():
        if isinstance(link, dict) and isinstance(link.get("href"), str) and isinstance(link.get("rel"), str):
            yield link


def hrefs(document: Document, *relations: str) -> Iterator[str]:
    """Yield the hrefs of those links of a document that have one of some relations."""
    yield from (str(link["href"]) for link in links(document) if link["rel"] in relations)


def plain_name(text: str, otherwise: str, taken: Collection[str]) -> str:
    """Return a name for a file that no directory is left by, and that is not taken."""
    name = _UNSAFE.sub("-", text)[-_LONGEST:].lstrip(".-") or otherwise
    numbered = (f"{number}-{name}" for number in range(2, len(taken) + 3))
    return name if name not in taken else next(each for each in numbered if each not in taken)


def link(relation: str, href: str, kind: str = "application/json") -> Document:
    """Return a link of a document."""
    return {"rel": relation, "href": href, "type": kind}


def relative(target: str, document: str) -> str:
    """Return the link from a document to a path, both relative to the same directory."""
    above = "../" * (len(PurePosixPath(document).parts) - 1)
    return f"{above or './'}{target}"


def written(document: Mapping[str, object]) -> str:
    """Return the text of a document, the same for the same content."""
    return json.dumps(document, indent=2, ensure_ascii=True) + "\n"
