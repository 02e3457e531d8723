"""Where a call finds its files: a place for each input, and those that InitialWorkDirRequirement moves elsewhere."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cwl_prefect.cwl.values import files
from cwl_prefect.cwl.values.errors import part_errors
from cwl_prefect.model.job import EntryKind, StagedEntry
from cwl_prefect.model.values import CwlObject, file_objects


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """The inputs of a call with the paths at which it finds their files, and what is put there."""

    values: CwlObject
    entries: tuple[StagedEntry, ...]
    named: tuple[CwlObject, ...] = ()  # what InitialWorkDirRequirement stages beside inputs, with their paths

    def known(self) -> dict[str, CwlObject]:
        """Return the files and directories that a call finds, by the path at which it finds them."""
        found = (*self.named, *file_objects(self.values))
        return {str(each["path"]): each for each in found if "path" in each}


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A File or Directory that is to be at a certain place in the working directory."""

    found: CwlObject
    name: str  # relative to the working directory, or absolute
    writable: bool


@dataclass(slots=True)
class _Entries:
    """What is put where so far, each once, and which earlier paths are left for others."""

    found: dict[StagedEntry, None] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)

    def put(self, found: CwlObject, directory: str, *, writable: bool = False, staged: bool = True) -> CwlObject:
        """Return a File or Directory with its path in a directory, with all that lies within or beside it."""
        target = os.path.join(directory, str(found["basename"]))  # noqa: PTH118 - keeps what is written
        if isinstance(old := found.get("path"), str):
            self.moved[old] = target
        writable = bool(found.get("writable", writable))
        if staged:
            self.found[_entry(found, target, writable=writable)] = None
        placed: CwlObject = {**found, "path": target}
        placed.pop("writable", None)
        literal = files.is_literal(found)
        if isinstance(inner := found.get("listing"), list):
            placed["listing"] = [self.put(item, target, writable=writable, staged=staged and literal) for item in inner]  # type: ignore[arg-type]
        if isinstance(beside := found.get("secondaryFiles"), list):
            placed["secondaryFiles"] = [self.put(item, directory, writable=writable, staged=staged) for item in beside]  # type: ignore[arg-type]
        if found["class"] == "File":
            placed["dirname"] = os.path.dirname(target)  # noqa: PTH120 - a text
        return placed


def stage(values: Mapping[str, Any], stagedir: str) -> Staged:
    """Return inputs with a path for each file and directory, in directories of their own that have numbers.

    Raises:
        InputError: A file is missing or cannot be fetched.
    """
    entries, directories = _Entries(), dict[Any, str]()

    def placed(found: CwlObject) -> CwlObject:
        """Return an input with its path."""
        number = directories.setdefault(_identity(found), f"{stagedir}/{len(directories)}")
        return entries.put(found, number)

    staged: CwlObject = {}
    for name, value in values.items():
        with part_errors(f"input {name}"):
            staged[name] = files.map_files(value, placed)
    return Staged(values=staged, entries=tuple(entries.found))


def move(staged: Staged, placed: Sequence[Placed], outdir: str) -> Staged:
    """Return a call's files with some of them in its working directory instead of the places of their own."""
    entries = _Entries()
    named = []
    for each in placed:
        place = os.path.join(outdir, each.name)  # noqa: PTH118 - a name may be absolute
        found = {**files.named(each.found, os.path.basename(place)), "writable": each.writable}  # noqa: PTH119 - a text
        named.append(entries.put(found, os.path.dirname(place)))  # noqa: PTH120 - a text
    moved = entries.moved

    def followed(found: CwlObject) -> CwlObject:
        """Return an input with the path that it has now."""
        return _moved(found, moved)

    return Staged(
        values={name: files.map_files(value, followed) for name, value in staged.values.items()},
        entries=(*(entry for entry in staged.entries if entry.target not in moved), *entries.found),
        named=(*staged.named, *named),
    )


def _moved(found: CwlObject, moved: Mapping[str, str]) -> CwlObject:
    changed: CwlObject = dict(found)
    new = moved.get(str(found.get("path")))
    if new is not None:
        changed = {**files.named(changed, os.path.basename(new)), "path": new}  # noqa: PTH119 - a text
        if found["class"] == "File":
            changed["dirname"] = os.path.dirname(new)  # noqa: PTH120 - a text
    for key in ("secondaryFiles", "listing"):
        if isinstance(inner := found.get(key), list):
            changed[key] = [_moved(item, moved) for item in inner]  # type: ignore[arg-type]
    return changed


def _identity(found: CwlObject) -> Any:
    """Return what two inputs have in common that can be one file at one place."""
    beside = found.get("secondaryFiles")
    inner = tuple(map(_identity, beside)) if isinstance(beside, list) else ()  # type: ignore[arg-type]
    return found["class"], found["location"], found["basename"], inner


def _entry(found: CwlObject, target: str, *, writable: bool) -> StagedEntry:
    if files.is_literal(found):
        if found["class"] == "Directory":
            return StagedEntry(kind=EntryKind.EMPTY_DIRECTORY, source="", target=target)
        kind = EntryKind.WRITABLE_LITERAL if writable else EntryKind.LITERAL
        return StagedEntry(kind=kind, source=str(found["contents"]), target=target)
    path = files.local_path(str(found["location"]), directory=found["class"] == "Directory")
    if found["class"] == "Directory":
        kind = EntryKind.WRITABLE_DIRECTORY if writable else EntryKind.DIRECTORY
        return StagedEntry(kind=kind, source=path, target=target)
    kind = EntryKind.WRITABLE_FILE if writable else EntryKind.FILE
    return StagedEntry(kind=kind, source=files.followed(path), target=target)
