"""What a tool finds where: staged entries arranged as one tree, without conflicts and without any escape."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from cwl_prefect.errors import StepError
from cwl_prefect.model.job import EntryKind, StagedEntry

DIRECTORY_KINDS = frozenset({EntryKind.DIRECTORY, EntryKind.WRITABLE_DIRECTORY, EntryKind.EMPTY_DIRECTORY})
LITERAL_KINDS = frozenset({EntryKind.LITERAL, EntryKind.WRITABLE_LITERAL})
READ_ONLY_KINDS = frozenset({EntryKind.FILE, EntryKind.DIRECTORY})
WRITABLE_KINDS = frozenset({EntryKind.WRITABLE_FILE, EntryKind.WRITABLE_DIRECTORY})


@dataclass(slots=True, kw_only=True)
class Node:
    """A place in the tree.

    Attributes:
        entry: What is staged here. None: a directory that only leads to others, or, without children, a file that the
            run writes.
        children: What is below. None: the entry is staged as a whole.
        implied: It is here only because the directory around it was staged; an entry that names the place goes first.
    """

    entry: StagedEntry | None = None
    children: "dict[str, Node] | None" = None
    implied: bool = False


@dataclass(slots=True, kw_only=True)
class Layout:
    """A tree of staged entries, built up by adding them in order.

    An entry below a directory that is staged already takes that directory apart into its children, so that nothing is
    ever written or mounted into somebody's own directory.

    Attributes:
        in_place: Writable entries are the originals (InplaceUpdateRequirement), so that nothing can be put below them.
    """

    in_place: bool = False
    root: Node = field(default_factory=lambda: Node(children={}))

    def add(self, entry: StagedEntry) -> None:
        """Stage an entry.

        Raises:
            StepError: Another entry stands in its way, or its target is no usable path.
            OSError: A directory that must be taken apart cannot be read.
        """
        names = split(entry.target)
        if not names:
            self._merge(self.root, entry)
            return
        parent = self._parent(names, entry)
        if parent is not None:
            self._put(_children(parent), names[-1], entry)

    def add_directory(self, target: str) -> None:
        """Make sure that there is a directory to put entries into.

        Raises:
            StepError: A file stands in its way, or the target is no usable path.
        """
        self.add(StagedEntry(kind=EntryKind.EMPTY_DIRECTORY, source="", target=target))

    def reserve(self, target: str) -> None:
        """Keep a place free for a file that the run itself writes; a copy or literal that was to be there is dropped.

        Raises:
            StepError: A directory, or a file that must not change, is in its way; or the target is no usable path.
        """
        names = split(target)
        parent = self._parent(names, None)
        places = _children(parent) if parent is not None else {}
        existing = places.get(names[-1])
        if existing is not None and not self._may_be_overwritten(existing):
            raise _conflict(target, existing)
        places[names[-1]] = Node()

    def find(self, target: str) -> Node | None:
        """Find what is at a place, if anything is."""
        found = self.reach(target)
        return None if found is None or found[1] else found[0]

    def reach(self, target: str) -> tuple[Node, list[str]] | None:
        """Find what is at a place, or the entry that is staged as a whole around it, with the names below that."""
        node, names = self.root, split(target)
        for depth, name in enumerate(names):
            if node.children is None:
                return node, names[depth:]
            inner = node.children.get(name)
            if inner is None:
                return None
            node = inner
        return node, []

    def _parent(self, names: Sequence[str], entry: StagedEntry | None) -> Node | None:
        """Return the directory for a new place; None where the directory around it brings the entry along anyway."""
        node = self.root
        for depth, name in enumerate(names[:-1], start=1):
            node = _children(node).setdefault(name, Node(children={}))
            if node.children is None:
                if entry is not None and _brings_along(node.entry, names[depth:], entry):
                    return None
                self._take_apart(node, "/" + "/".join(names))
        return node

    def _put(self, places: dict[str, Node], name: str, entry: StagedEntry) -> None:
        existing = places.get(name)
        if existing is None:
            places[name] = _node(entry)
        elif existing.children is not None and entry.kind in DIRECTORY_KINDS:
            self._merge(existing, entry)
        elif existing.children is not None or existing.entry is None:
            raise _conflict(entry.target, existing, entry)
        else:
            self._put_over(places, name, existing.entry, entry)

    def _put_over(self, places: dict[str, Node], name: str, existing: StagedEntry, entry: StagedEntry) -> None:
        both_directories = existing.kind in DIRECTORY_KINDS and entry.kind in DIRECTORY_KINDS
        same = existing.source == entry.source and (existing.kind in DIRECTORY_KINDS) == (entry.kind in DIRECTORY_KINDS)
        if both_directories and entry.kind is EntryKind.EMPTY_DIRECTORY:
            return
        if same:
            places[name] = _node(entry if entry.kind not in READ_ONLY_KINDS else existing)
            return
        if not places[name].implied:
            raise _conflict(entry.target, places[name], entry)
        if both_directories:
            self._take_apart(places[name], entry.target)
            self._merge(places[name], entry)
            return
        places[name] = _node(entry)

    def _merge(self, node: Node, entry: StagedEntry) -> None:
        """Add a directory's children to a place that has children already, which go first."""
        if entry.kind not in DIRECTORY_KINDS or (self.in_place and entry.kind is EntryKind.WRITABLE_DIRECTORY):
            raise _conflict(entry.target, node, entry)
        node.entry = node.entry or entry
        for name, inner in _inside(entry):
            existing = _children(node).get(name)
            if existing is None:
                _children(node)[name] = Node(entry=inner, implied=True)
            elif existing.children is not None and inner.kind in DIRECTORY_KINDS:
                self._merge(existing, inner)

    def _take_apart(self, node: Node, target: str) -> None:
        entry = node.entry
        if entry is None or entry.kind not in DIRECTORY_KINDS:
            raise _conflict(target, node)
        node.children = {}
        self._merge(node, entry)

    def _may_be_overwritten(self, node: Node) -> bool:
        if node.children is not None:
            return False
        if node.entry is None or node.entry.kind in LITERAL_KINDS:
            return True
        return node.entry.kind is EntryKind.WRITABLE_FILE and not self.in_place


def split(target: str) -> list[str]:
    """Take an absolute path apart into names.

    Raises:
        StepError: It is relative, goes upwards, or has a null character.
    """
    names = [name for name in target.split("/") if name not in ("", ".")]
    if not target.startswith("/") or ".." in names or "\0" in target:
        msg = f"{target!r} is not a place where a file can be staged"
        raise StepError(msg, hint="entry names and basenames must not contain '..' or null characters")
    return names


def _children(node: Node) -> dict[str, Node]:
    if node.children is None:
        node.children = {}
    return node.children


def _node(entry: StagedEntry) -> Node:
    return Node(entry=entry, children={} if entry.kind is EntryKind.EMPTY_DIRECTORY else None)


def _brings_along(around: StagedEntry | None, rest: Sequence[str], entry: StagedEntry) -> bool:
    if around is None or around.kind not in DIRECTORY_KINDS or entry.source != "/".join((around.source, *rest)):
        return False
    kinds = READ_ONLY_KINDS if around.kind is EntryKind.DIRECTORY else READ_ONLY_KINDS | WRITABLE_KINDS
    return entry.kind in kinds


def _inside(entry: StagedEntry) -> Iterator[tuple[str, StagedEntry]]:
    """Yield an entry for each file and directory in a directory; links that lead nowhere are left out."""
    if entry.kind is EntryKind.EMPTY_DIRECTORY:
        return
    writable = entry.kind is EntryKind.WRITABLE_DIRECTORY
    file_kind = EntryKind.WRITABLE_FILE if writable else EntryKind.FILE
    with os.scandir(entry.source) as found:
        for inner in sorted(found, key=lambda each: each.name):
            placed = replace(entry, source=inner.path, target=f"{entry.target}/{inner.name}")
            if Path(inner.path).is_dir():
                yield inner.name, placed
            elif Path(inner.path).is_file():
                yield inner.name, replace(placed, kind=file_kind)


def _conflict(target: str, existing: Node, entry: StagedEntry | None = None) -> StepError:
    there = _told(existing.entry) if existing.entry is not None else "what the tool itself writes"
    here = _told(entry) if entry is not None else "a file that the tool writes"
    msg = f"{there} and {here} are both to be at {target}"
    error = StepError(msg, hint="give one of them another name (entryname, basename, stdout or stderr)")
    error.parts = ("InitialWorkDirRequirement: listing",)
    return error


def _told(entry: StagedEntry) -> str:
    if entry.kind in LITERAL_KINDS:
        return "a file literal"
    return entry.source or "a directory"
