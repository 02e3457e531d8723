"""A catalog that a workflow gives, as it is delivered: in a collection, its links to where it goes."""

import os
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from pydantic import JsonValue

from cwl_prefect._lib.destinations import Destination, below
from cwl_prefect._lib.locations import is_remote
from cwl_prefect._lib.uris import file_uri, path_of
from cwl_prefect.errors import PublishError, StorageError
from cwl_prefect.model.values import MOST_NESTED, TOO_DEEP, CwlObject, CwlValue, is_file_object
from cwl_prefect.storage.stac import documents
from cwl_prefect.storage.stac.documents import CATALOG, Document, link

_COLLECTION = "collection.json"
_EVERYWHERE = [-180.0, -90.0, 180.0, 90.0]
_ITEM = "application/geo+json"
_RELATIVE = "Let the tool write a catalog with relative links, all of whose files are in the same directory."
_OWN = frozenset({"root", "parent", "self", "collection", "child", "item"})  # links that are made anew


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Where results with catalogs go, and what their collections are called.

    Attributes:
        destination: Where all results go; links to a URL are whole, those within a directory of this machine relative.
        run_id: The run, which tells its collections from those of others.
        title: What the collections are of.
    """

    destination: Destination
    run_id: str
    title: str


def staged_out(outputs: CwlObject, delivery: Delivery) -> tuple[CwlObject, frozenset[str]]:
    """Return outputs with their catalogs as listings of files and texts, and the names that they must have.

    A catalog is a Directory with catalog.json: an output, or in an array or record of one.

    Raises:
        PublishError: A catalog cannot be read, or leads out of its directory.
    """
    names: set[str] = set()

    def value(given: CwlValue) -> CwlValue:
        """Return a value with its catalogs as they are delivered, the rest as it is."""
        if isinstance(given, list):
            return [value(item) for item in given]
        if not isinstance(given, dict):
            return given
        if not is_file_object(given):
            return {name: value(item) for name, item in given.items()}
        root = path_of(str(given.get("location") or given.get("path") or "_:"))
        if given["class"] != "Directory" or root is None or not (root / CATALOG).is_file():
            return given
        name = documents.plain_name(str(given.get("basename") or root.name), "catalog", names)
        names.add(name)
        return _delivered(root, name, delivery)

    return {name: value(given) for name, given in outputs.items()}, frozenset(names)


def _delivered(root: Path, name: str, delivery: Delivery) -> CwlObject:
    try:
        catalog = _Catalog(root=root, place=below(delivery.destination, name))
        texts = catalog.delivered(f"{name}-{delivery.run_id}", delivery.title)
        listing = list(_listing(root, "", catalog.found, texts))
    except (StorageError, OSError) as error:
        why = error.message if isinstance(error, StorageError) else error
        raise PublishError(f"the catalog {name} cannot be delivered: {why}", hint=_RELATIVE) from error
    return {"class": "Directory", "basename": name, "listing": cast("JsonValue", listing)}


@dataclass(slots=True, kw_only=True)
class _Catalog:
    """The documents of a directory, by their paths relative to it."""

    root: Path
    place: Destination
    found: dict[str, Document] = field(default_factory=dict)
    _items_of: dict[str, list[str]] = field(default_factory=dict)  # hrefs of items by collection; "": of none

    def delivered(self, collection_id: str, title: str) -> dict[str, str]:
        """Return the texts of catalog.json, its collections, and their items; what were catalogs between are none."""
        self._read(CATALOG, "", 0)
        if self.found[CATALOG]["type"] != "Catalog":
            raise StorageError(f"the type of {CATALOG} is {self.found[CATALOG]['type']}, expected Catalog.")
        texts: dict[str, Document] = {}
        children = [path for path in self._items_of if path]
        if loose := self._items_of.get(""):
            path = documents.plain_name(_COLLECTION, _COLLECTION, [each.name for each in self.root.iterdir()])
            children.insert(0, path)
            self._items_of[path] = loose
            self.found[path] = self._collection(collection_id, title, loose)
        for path in children:
            texts[path] = self._linked(path, CATALOG, self._items_of[path])
            for item in self._items_of[path]:
                if item in self.found:
                    texts[item] = self._item(item, path)
        texts[CATALOG] = self._linked(CATALOG, None, children, "child")
        return {path: documents.written(document) for path, document in texts.items()}

    def _read(self, path: str, collection: str, depth: int) -> None:
        """Read a document and those that it leads to, each once."""
        if path in self.found:
            return
        document = self.found[path] = documents.read(self._content(path), path)
        documents.demand_few(len(self.found), path)
        if depth > MOST_NESTED:
            raise StorageError(f"{path}: {TOO_DEEP}")
        if document["type"] == "Feature":
            self._items_of.setdefault(collection, []).append(path)
            return
        inside = path if document["type"] == "Collection" else collection
        for href in documents.hrefs(document, "child", "item"):
            target = self._target(path, href)
            if is_remote(target):
                self._items_of.setdefault(inside, []).append(target)
            else:
                self._read(target, inside, depth + 1)

    def _content(self, path: str) -> bytes:
        """Return the text of a document that lies in the directory itself, not where a link leads."""
        real = os.path.realpath(self.root)
        if os.path.realpath(self.root / path) != f"{real}/{path}":
            raise StorageError(f"{path} is a link, and documents of a catalog are files.")
        with (self.root / path).open("rb") as stream:
            return stream.read(documents.MAX_DOCUMENT + 1)

    def _target(self, path: str, href: str) -> str:
        """Return what an href in a document means: a path that is in the directory, or a URL.

        Raises:
            StorageError: It is neither.
        """
        if is_remote(href):
            return href
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), href))
        if href.startswith("/") or ":" in href.partition("/")[0] or target.split("/")[0] == ".." or "\0" in href:
            raise StorageError(f"{path} leads to {href}, which is not in the directory of the catalog.")
        if not (self.root / target).is_file():
            raise StorageError(f"{path} leads to {href}, and no file is there.")
        return target

    def _href(self, path: str, target: str) -> str:
        """Return how a delivered document names another file."""
        if is_remote(target):
            return target
        return f"{self.place}/{target}" if isinstance(self.place, str) else documents.relative(target, path)

    def _linked(self, path: str, parent: str | None, inside: list[str], relation: str = "item") -> Document:
        """Return a document with its links to where all is."""
        document = self.found[path]
        own = [link("root", self._href(path, CATALOG))]
        if parent is not None:
            own.append(link("parent", self._href(path, parent)))
        if isinstance(self.place, str):
            own.append(
                link("self", self._href(path, path), _ITEM if document["type"] == "Feature" else "application/json")
            )
        kind = _ITEM if relation == "item" else "application/json"
        own += [link(relation, self._href(path, target), kind) for target in inside]
        kept = [
            dict(each) for each in documents.links(document) if each["rel"] not in _OWN and is_remote(str(each["href"]))
        ]
        return {**document, "links": cast("JsonValue", [*own, *kept]), **self._assets(path)}

    def _assets(self, path: str) -> Document:
        given = self.found[path].get("assets")
        if not isinstance(given, dict):
            return {}
        return {"assets": {key: self._asset(path, asset) for key, asset in given.items()}}

    def _asset(self, path: str, asset: JsonValue) -> JsonValue:
        if not isinstance(asset, dict) or not isinstance(asset.get("href"), str):
            raise StorageError(f"{path}: an asset has no href.")
        return {**asset, "href": self._href(path, self._target(path, str(asset["href"])))}

    def _item(self, path: str, collection: str) -> Document:
        document = self._linked(path, collection, [collection], "collection")
        return {**document, "collection": self.found[collection].get("id")}

    def _collection(self, identifier: str, title: str, items: list[str]) -> Document:
        """Return a new collection of items, with their extent."""
        from pystac import Collection, Extent, SpatialExtent, TemporalExtent

        here = [documents.item_of(self.found[item], item) for item in items if item in self.found]
        for item in here:
            item.bbox = _flat(item.bbox)
        nowhere = Extent(SpatialExtent([_EVERYWHERE]), TemporalExtent([None, None]))
        try:
            extent = Extent.from_items(here) if here else nowhere
        except Exception as error:
            raise StorageError(f"the items have no common extent: {type(error).__name__}.") from error
        made = Collection(identifier, f"Results of {title}.", extent, title=title, license="other")
        return cast("Document", made.to_dict(include_self_link=False, transform_hrefs=False))


def _flat(bbox: object) -> list[float]:
    """Return a bounding box without heights; of what lies nowhere, the whole Earth."""
    if not isinstance(bbox, list) or len(bbox) not in (4, 6) or not all(isinstance(each, int | float) for each in bbox):
        return _EVERYWHERE
    return [*bbox[:2], *bbox[len(bbox) // 2 :][:2]]


def _listing(
    root: Path, folder: str, read: dict[str, Document], texts: dict[str, str], depth: int = 0
) -> Iterator[CwlObject]:
    """Yield what is delivered of a directory: files as they are, documents as they became."""
    if depth > MOST_NESTED:
        raise StorageError(f"{folder}: {TOO_DEEP}")
    names = {path.removeprefix(folder) for path in texts if posixpath.dirname(path) == folder.rstrip("/")}
    for name in sorted(names):
        yield {"class": "File", "basename": name, "contents": texts[f"{folder}{name}"]}
    for entry in sorted(os.scandir(root / folder), key=lambda each: each.name):
        path = f"{folder}{entry.name}"
        if path in read or path in texts:
            continue
        if entry.is_dir(follow_symlinks=False):
            yield {
                "class": "Directory",
                "basename": entry.name,
                "listing": cast("JsonValue", list(_listing(root, f"{path}/", read, texts, depth + 1))),
            }
        else:
            kind = "Directory" if entry.is_dir() else "File"
            yield {"class": kind, "basename": entry.name, "location": file_uri(root / path)}
