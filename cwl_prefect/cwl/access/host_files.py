"""Which files of this machine a run may read: one policy for all that documents, job orders and expressions name."""

import logging
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from cwl_prefect._lib.locations import host_of, is_inner, is_remote, is_web, shown_url
from cwl_prefect._lib.uris import file_uri, path_of
from cwl_prefect.cwl.access import protected
from cwl_prefect.errors import InputError
from cwl_prefect.model.plan import NamedFile, WorkflowPlan
from cwl_prefect.model.values import CwlObject, CwlValue, file_objects
from cwl_prefect.settings import Settings
from cwl_prefect.storage.outer import hosts_of, outer_only

_logger = logging.getLogger(__name__)

_OWN_RIGHTS = "it would be read with your credentials, and nobody but the document names it"
_INNER = "it leads into the network of this machine, and nobody but the document names it"
_OUTSIDE = "it lies outside of the document's own tree"
_HINTS = {
    _OUTSIDE: "Name the file in the job order, or let documents read its directory by --allow-path.",
    _INNER: "Name it in the job order, or let documents name it by CWL_PREFECT_ALLOW_URL.",
}


class Verdict(StrEnum):
    """What the policy says of a path."""

    ALLOWED = "allowed"
    OUTSIDE = "outside"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the policy says of a path, and why."""

    verdict: Verdict
    why: str = ""


_ALLOWED = Judgement(Verdict.ALLOWED)
_MADE = Judgement(Verdict.ALLOWED, "a step of the run made it")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFiles:
    """Which files of this machine a run may read.

    Attributes:
        named: Paths that a person named.
        urls: URLs whose hosts a document may name, wherever they are.
        roots: Directories that a document may read: its own tree, and what the settings allow.
        made: Directories in which steps of the run leave their files.
        fetched: Paths of what the run fetched from URLs that it may read.
        private: Directories of this program that no run reads.
        checked: Whether what is named was looked at before, with all that directories hold.
        untrusted: Whether what lies outside is refused.
        places: Where a document names a location, for people.
    """

    named: frozenset[str] = frozenset()
    urls: tuple[str, ...] = ()
    roots: tuple[str, ...] = ()
    made: tuple[str, ...] = ()
    fetched: set[str] = field(default_factory=set)
    private: protected.Private = field(default_factory=protected.Private)
    checked: bool = False
    untrusted: bool = False
    places: dict[str, str] = field(default_factory=dict)
    _passed: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, plan: WorkflowPlan, settings: Settings) -> "HostFiles":
        """Return what a document may read that nobody gave anything."""
        allowed = (os.path.realpath(path) for path in settings.allow_path)
        return cls(
            urls=settings.allow_url,
            roots=(*trees_of(plan.origin), *allowed),
            private=protected.Private.of(settings),
            untrusted=settings.untrusted or is_untrusted(plan),
            places={found.location: found.place for found in plan.named_files},
        )

    def with_named(self, values: CwlValue, *, checked: bool = False) -> "HostFiles":
        """Return the policy for somebody who named files."""
        places = [place for found in file_objects(values) for place in _places(found)]
        paths = {os.path.normpath(path) for place in places if (path := path_of(place)) is not None}
        paths |= {url for url in places if is_remote(url)}
        named = self.named | paths | {os.path.realpath(path) for path in paths if not is_remote(path)}
        return replace(self, named=named, checked=checked, _passed=set())

    def with_made(self, directory: Path) -> "HostFiles":
        """Return the policy for a run whose steps leave their files in a directory."""
        return replace(self, made=(*self.made, os.path.realpath(directory)), _passed=set())

    def is_made(self, path: str) -> bool:
        """Check whether a step of the run made what lies at a path."""
        return _is_below(os.path.realpath(path), self.made)

    def demand(self, value: CwlValue) -> None:
        """Check that the run may read every File and Directory in a value, before anything of them is read.

        Raises:
            InputError: It may not.
        """
        for found in file_objects(value):
            for location in _places(found):
                if location not in self._passed:
                    self.demand_location(location, str(found["class"]))

    def demand_location(self, location: str, kind: str = "File") -> None:
        """Check that the run may read what lies at a location.

        Raises:
            InputError: It may not.
        """
        judged = self.judged(location)
        if judged.verdict is Verdict.REFUSED:
            place = self.places.get(location)
            shown = shown_url(location) if is_remote(location) else str(path_of(location) or location)
            raise InputError(
                f"{kind} {shown}{f' (named in {place})' if place else ''}: {judged.why}.",
                hint=_HINTS.get(judged.why),
            )
        if judged is not _MADE:  # which a later step may have replaced by a link
            self._passed.add(location)
        if judged.verdict is Verdict.OUTSIDE and location not in self.places:
            _logger.warning("%s", _told(location))

    def outside(self, named: Iterable[NamedFile]) -> Iterator[str]:
        """Yield a line for each of a document's files that lies outside of its tree, or is refused."""
        for found in named:
            judged = self.judged(found.location)
            if judged.verdict is Verdict.REFUSED and judged.why != _OUTSIDE:
                yield f"{found.place}: {path_of(found.location) or found.location}: {judged.why}."
            elif judged.verdict is not Verdict.ALLOWED:
                yield f"{found.place}: {_told(found.location)}"

    def judged(self, location: str) -> Judgement:
        """Return whether the run may read what lies at a location, with all that a directory there holds."""
        path = path_of(location)
        if path is not None:
            return self._judged_path(os.path.normpath(path), os.path.realpath(path))
        if is_remote(location) and location not in self.named:
            if self.untrusted and not is_web(location):
                return Judgement(Verdict.REFUSED, _OWN_RIGHTS)
            if self._leads_inward(location):
                return Judgement(Verdict.REFUSED, _INNER)
        foreign = location.startswith("file:")  # whatever else is elsewhere is fetched, or is an error
        return Judgement(Verdict.REFUSED, "it is on another machine") if foreign else _ALLOWED

    def reaching(self) -> AbstractContextManager[None]:
        """Let what is fetched meanwhile come from where the run may read, wherever names and redirections lead."""
        return outer_only(self._elsewhere()) if self.untrusted else nullcontext()

    def _leads_inward(self, location: str) -> bool:
        """Check whether only a document that nobody trusts names a host, which is in the network of this machine."""
        if not (self.untrusted or is_web(self.places.get(location, ""))) or not is_inner(host_of(location).lower()):
            return False
        return hosts_of([location]).isdisjoint(hosts_of(self._elsewhere()))

    def _elsewhere(self) -> Iterator[str]:
        """Yield the URLs whose hosts may be anywhere; what a run takes from its document's defaults is not named."""
        yield from self.urls
        yield from (url for url in self.named if url not in self.places)

    def _judged_path(self, lexical: str, real: str) -> Judgement:
        if _is_below(real, self.made) or not self.fetched.isdisjoint((real, *_above(real))):
            return _MADE
        by_name = lexical in self.named or real in self.named
        given = by_name or self._is_named(lexical, real)
        own = given or _is_below(real, self.roots)
        linked = own and _is_below(lexical, self.made)  # by a step, to what the run may read where it lies
        why = self._refusal(real, by_name=by_name) or _kind_refusal(real)
        if why is None and not linked:
            why = self._refusal(lexical, by_name=by_name)
        if why is not None:
            return Judgement(Verdict.REFUSED, why)
        if given and self.checked:
            return _ALLOWED
        if os.path.isdir(real):  # noqa: PTH112 - a text
            return self._judged_directory(real, given=given)
        return _ALLOWED if own else self._outside()

    def _outside(self) -> Judgement:
        return Judgement(Verdict.REFUSED if self.untrusted else Verdict.OUTSIDE, _OUTSIDE)

    def _is_named(self, lexical: str, real: str) -> bool:
        return any(place in self.named for path in (lexical, real) for place in (path, *_above(path)))

    def _refusal(self, path: str, *, by_name: bool) -> str | None:
        why = protected.system(path)
        if why is not None or by_name:
            return why
        return protected.credentials(path) or self.private.holding(path)

    def _judged_directory(self, real: str, *, given: bool) -> Judgement:
        inside = protected.held_by(real) or self.private.held_by(real)
        if inside is not None:
            return Judgement(Verdict.REFUSED, inside)
        own = given or _is_below(real, self.roots)
        for entry in _odd_entries(real):
            target = os.path.realpath(entry)
            why = self._refusal(target, by_name=False) or _kind_refusal(target)
            if why is not None:
                return Judgement(Verdict.REFUSED, f"{os.path.relpath(entry, real)} in it cannot be read: {why}")
            if not given and own and not _is_below(target, (*self.roots, *self.made)):
                own = False
        return _ALLOWED if own else self._outside()


EVERYTHING = HostFiles(roots=("/",))
"""All but what no run reads: for looking at a document rather than running it."""


def is_untrusted(plan: WorkflowPlan) -> bool:
    """Check whether a plan is of a document that somebody else serves."""
    return plan.origin is not None and _is_of_the_web(plan.origin)


def trees_of(origin: str | None) -> tuple[str, ...]:
    """Return the trees of a document: the nearest repository's root, else its directory; links resolved and not."""
    if origin is None or _is_of_the_web(origin):
        return ()
    whole, document = path_of(origin), path_of(origin.rpartition("#")[0] or origin)
    path = whole if whole is None or document is None or whole.exists() else document
    if path is None:
        return ()
    lexical = os.path.dirname(os.path.abspath(path))  # noqa: PTH100, PTH120 - links are kept
    real = os.path.dirname(os.path.realpath(path))  # noqa: PTH120 - a text
    return tuple(dict.fromkeys(map(os.path.realpath, map(_tree, (lexical, real)))))


def _is_of_the_web(origin: str) -> bool:
    return origin.lower().startswith(("http://", "https://"))


def _tree(directory: str) -> str:
    """Return the nearest repository's root, which is no home and which others may not write to, else the directory."""
    limit = {"/", *protected.homes(), *(place for home in protected.homes() for place in _above(home))}
    for place in (directory, *_above(directory)):
        if place in limit:
            break
        if any(os.path.exists(f"{place}/{mark}") for mark in (".git", ".hg", ".svn")) and _is_ours(place):  # noqa: PTH110
            return place
    return directory


def _is_ours(directory: str) -> bool:
    try:
        return not os.stat(directory).st_mode & stat.S_IWOTH  # noqa: PTH116 - a text
    except OSError:
        return False


def _places(found: CwlObject) -> Iterator[str]:
    """Yield where a File or Directory lies; a Directory that is the document of a catalog may name all beside it."""
    location = found.get("location", found.get("path"))
    if not isinstance(location, str):
        return
    yield location
    path = path_of(location) if found["class"] == "Directory" else None
    if path is not None and path.is_file():
        yield file_uri(path.parent)


def _told(location: str) -> str:
    path = path_of(location) or location
    return f"{path} lies outside of the document's tree; --allow-path {os.path.dirname(str(path))} says that it may."  # noqa: PTH120


def _is_below(path: str, roots: Iterable[str]) -> bool:
    return any(path == root or path.startswith(root if root.endswith("/") else f"{root}/") for root in roots)


def _above(path: str) -> Iterator[str]:
    while (above := os.path.dirname(path)) != path:  # noqa: PTH120 - a text
        yield above
        path = above


def _kind_refusal(path: str) -> str | None:
    """Return why what lies at a path is never read: it is no file and no directory; None where nothing is there."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - a text
    except OSError:
        return None
    return None if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else "it is neither a file nor a directory"


def _odd_entries(directory: str) -> Iterator[str]:
    """Yield the links that lead out of a directory, and whatever in it is neither a file nor a directory."""
    pending = [directory]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    if entry.is_symlink():
                        if os.path.exists(entry.path) and not _is_below(os.path.realpath(entry.path), (directory,)):  # noqa: PTH110
                            yield entry.path
                    elif entry.is_dir():
                        pending.append(entry.path)
                    elif not entry.is_file():
                        yield entry.path
        except OSError:
            continue
