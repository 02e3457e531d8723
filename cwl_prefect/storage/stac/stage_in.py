"""A catalog that lies elsewhere, as a directory that needs nothing else: catalog.json, its items and their assets."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cwl_prefect._lib.locations import host_of, is_inner, is_remote, is_web, joined, name_of, shown_url
from cwl_prefect._lib.uris import file_uri, path_of
from cwl_prefect.errors import StorageError
from cwl_prefect.storage.stac import documents
from cwl_prefect.storage.stac.documents import CATALOG, MAX_ASSETS, Document, link

if TYPE_CHECKING:
    from pystac import Item

_OTHERS = "Choose other assets by --assets."
_ALLOW = "Let catalogs name it by CWL_PREFECT_ALLOW_URL, or choose other assets by --assets."
_OWN = "Let the catalog and all that it names be in one directory, or choose other assets by --assets."
_LONGEST = 100  # characters of an href that is no URL, as people see it
_ITEM = "application/geo+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What is taken of catalogs.

    Attributes:
        assets: Keys of the assets that are fetched; none: all.
        allowed: URLs below which data may lie, beside the web and a catalog's own bucket or server.
        max_mib: Most MiB that the assets of one catalog have together.
        root: Directory whose files a document of this machine may name; None: none.
    """

    assets: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    max_mib: float = float("inf")
    root: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """What a directory is to hold, by paths relative to it.

    Attributes:
        documents: Texts of catalog.json and the items.
        assets: URLs of the files; ``file:`` for those of this machine.
    """

    documents: Mapping[str, str]
    assets: Mapping[str, str]


def staged(url: str, choice: Choice, read: Callable[[Sequence[str]], Mapping[str, bytes]]) -> Staged:
    """Return what the directory of an item, a catalog or a collection is to hold.

    Args:
        url: Where it lies.
        choice: What is taken of it.
        read: Returns the contents of some URLs.

    Raises:
        StorageError: A document is none of STAC, an item has no such asset, an href may not be followed, or there are
            too many.
        UsageError: The package that reads catalogs is not installed.
    """
    documents.demand_installed()
    texts: dict[str, str] = {}
    assets: dict[str, str] = {}
    folders = [CATALOG]
    for place, found in _items(url, choice, read).items():
        item = documents.item_of(found, shown_url(place))
        folder = documents.plain_name(item.id, "item", folders)
        folders.append(folder)
        files = _files(item, place, choice, folder)
        assets |= {f"{folder}/{name}": address for name, address in files.values()}
        texts[_path(folder)] = _item_text(item, {key: name for key, (name, _) in files.items()})
        if len(assets) > MAX_ASSETS:
            raise StorageError(
                f"{shown_url(url)} cannot be staged in: it has more than {MAX_ASSETS} assets.",
                hint="Choose some by --assets, or name a smaller catalog.",
            )
    if not texts:
        raise StorageError(f"{shown_url(url)} cannot be staged in: it leads to no item.", hint="Check the address.")
    return Staged(documents={CATALOG: _catalog_text(list(texts)), **texts}, assets=assets)


def _items(url: str, choice: Choice, read: Callable[[Sequence[str]], Mapping[str, bytes]]) -> dict[str, Document]:
    """Return the items that a document leads to, by URL; each document is read once, however links run."""
    items: dict[str, Document] = {}
    seen, wanted = {url}, [url]
    while wanted:
        documents.demand_few(len(seen), shown_url(url))
        following: list[str] = []
        for place, content in read(wanted).items():
            document = documents.read(content, shown_url(place))
            if document["type"] == "Feature":
                items[place] = document
                continue
            following += [
                _address(place, href, choice, "a link") for href in documents.hrefs(document, "child", "item")
            ]
        wanted = [each for each in dict.fromkeys(following) if each not in seen]
        seen.update(wanted)
    return items


def _files(item: "Item", place: str, choice: Choice, folder: str) -> dict[str, tuple[str, str]]:
    """Return name and URL of the assets of an item that are wanted, by their keys."""
    missing = [key for key in choice.assets if key not in item.assets]
    if missing:
        raise StorageError(
            f"{shown_url(place)}: the item {item.id} has no asset {missing[0]!r}.",
            hint=f"Choose by --assets among {', '.join(sorted(item.assets)) or 'none'}.",
        )
    taken, files = [f"{folder}.json"], dict[str, tuple[str, str]]()
    for key in choice.assets or item.assets:
        address = _address(place, item.assets[key].href, choice, f"the asset {key!r}")
        path = path_of(address)
        name = documents.plain_name(name_of(address) if path is None else path.name, "asset", taken)
        taken.append(name)
        files[key] = name, address
    return files


def _address(base: str, href: str, choice: Choice, what: str) -> str:
    """Return the URL that an href in a document means.

    Raises:
        StorageError: Nothing of this kind is fetched, or it lies where it would be read with the user's rights.
    """
    address = joined(base, href)
    if choice.root is not None and base.startswith("file:") and address.startswith("file:"):
        return _own_file(base, address, choice.root, what)
    if not is_remote(address):
        raise StorageError(
            f"{shown_url(base)}: {what} is at {address[:_LONGEST]!r}, and catalogs may only name what lies at URLs.",
            hint=_OTHERS,
        )
    roots = (_root(base), *(each.rstrip("/") for each in choice.allowed))
    if any(address.startswith(f"{root}/") for root in roots):
        return address
    host = host_of(address)
    if is_web(address) and (host == host_of(base) or not is_inner(host)):
        return address
    how = "from within your network" if is_web(address) else "with your credentials"
    raise StorageError(
        f"{shown_url(base)}: {what} is at {shown_url(address)}, which would be read {how}, and nobody but the catalog "
        "names it.",
        hint=_ALLOW,
    )


def _own_file(base: str, address: str, root: Path, what: str) -> str:
    """Return the URI of a file that a document of this machine names.

    Raises:
        StorageError: There is none, or it lies elsewhere than below a directory, links followed.
    """
    path = path_of(address)
    if path is None or not path.is_file():
        why = "and there is no file"
    elif not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
        why = f"and only files below {root} may be named"
    else:
        return file_uri(path)
    raise StorageError(f"{shown_url(base)}: {what} is at {shown_url(address)}, {why}.", hint=_OWN)


def _root(url: str) -> str:
    """Return scheme and bucket or host of a URL."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


def _path(folder: str) -> str:
    return f"{folder}/{folder}.json"


def _item_text(item: "Item", names: Mapping[str, str]) -> str:
    """Return the document of an item whose assets lie beside it, in no collection, which lies elsewhere."""
    document = item.to_dict(include_self_link=False, transform_hrefs=False)
    document.pop("collection", None)
    document["assets"] = {
        key: {name: value for name, value in document["assets"][key].items() if name != "alternate"}
        | {"href": f"./{names[key]}"}
        for key in names
    }
    document["links"] = [link("root", f"../{CATALOG}"), link("parent", f"../{CATALOG}")]
    return documents.written(document)


def _catalog_text(items: Sequence[str]) -> str:
    from pystac import Catalog

    document = Catalog(id="staged-in", description="The items of one input.").to_dict(include_self_link=False)
    own = [link("root", f"./{CATALOG}"), *(link("item", f"./{path}", _ITEM) for path in items)]
    return documents.written({**document, "links": own})
