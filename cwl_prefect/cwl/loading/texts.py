"""What may be read as a text of a document, what was, and which files of the machine and the web it names itself."""

import contextlib
import os
import re
import stat
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cwltool.process import Process
from cwltool.workflow import Workflow
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from schema_salad.exceptions import SchemaSaladException
from schema_salad.fetcher import DefaultFetcher
from schema_salad.sourceline import SourceLine

from cwl_prefect._lib.locations import is_web, shown_url
from cwl_prefect._lib.uris import path_of
from cwl_prefect.cwl.access.host_files import EVERYTHING
from cwl_prefect.cwl.access.open_texts import may_fetch, open_text
from cwl_prefect.cwl.access.protected import Private
from cwl_prefect.cwl.loading.aliases import repeated_too_often
from cwl_prefect.cwl.loading.faults import place_in
from cwl_prefect.cwl.loading.messages import document_message, short_path
from cwl_prefect.errors import DocumentError, Fault, InputError
from cwl_prefect.model.plan import NamedFile
from cwl_prefect.settings import Settings
from cwl_prefect.storage.outer import hosts_of, keep_outer
from cwl_prefect.storage.services.registries import asked_at

LARGEST_TEXT = 16 * 1024 * 1024  # bytes of one file of a document; YAML of this size takes minutes to read
_MIXIN = "$mixin"
_IMPORTS = ("$import", _MIXIN)
_MAY_IMPORT = re.compile(r"\$(?:import|mixin)|\\[xuU\r\n]")  # YAML may write any part of a field's name as an escape
_MAY_BE_TAG = re.compile(r"(?m)(?:^|[\s,\[{])!\S")
_TAGS = frozenset({"!", *(f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "bool", "null", "map", "seq"))})
_PROCESS = re.compile(r"""^\s*\{?\s*["']?cwlVersion["']?\s*:""", re.MULTILINE)
_WEB_ADDRESS = re.compile(r"(?i)https?://[^\s'\"<>]+")
_REMOTE = ("http:", "https:")
_IMAGES = ("dockerLoad", "dockerImport")


def check_file(url: str, *, named: bool) -> None:
    """Check that a part of a document is a regular file that is not too large; what is not there is left to its reader.

    Args:
        url: Where it lies.
        named: Whether it is the document that was asked for, which may come through a pipe.

    Raises:
        DocumentError: It is not.
    """
    path = path_of(urllib.parse.urldefrag(url).url)
    try:
        status = None if path is None else path.stat()
    except (OSError, ValueError):
        return
    if path is None or status is None or stat.S_ISDIR(status.st_mode) or (named and stat.S_ISFIFO(status.st_mode)):
        return
    if not stat.S_ISREG(status.st_mode):
        raise DocumentError(
            f"{short_path(str(path))}: this is no file but a pipe, socket or device.",
            hint="Let documents refer to regular files.",
        )
    check_size(url, status.st_size)


def check_size(url: str, size: int) -> None:
    """Check that a text of a document is not too large.

    Raises:
        DocumentError: It is.
    """
    if size > LARGEST_TEXT:
        raise DocumentError(
            f"{document_message(url)}: it is larger than a document may be, {LARGEST_TEXT // 2**20} MiB.",
            hint="Give data as inputs, in files or in the job order.",
        )


def check_imports(text: str, url: str, fetched: Callable[[str], str]) -> None:
    """Check that no part of a document imports itself, also through others; whoever followed it would never end.

    Args:
        text: The document, or a part of it.
        url: Where it lies.
        fetched: Returns the text at a URL.

    Raises:
        DocumentError: One does; the text names the place.
    """
    if _MAY_IMPORT.search(text):
        imports = _Imports(fetched)
        imports.visit(imports.root(urllib.parse.urldefrag(url).url), url, frozenset())


def check_tags(text: str, url: str) -> None:
    """Check that a document has only tags of YAML whose values the loader of schema-salad takes: not ``!!str``.

    Args:
        text: The document; any other text is left alone.
        url: Where it lies.

    Raises:
        DocumentError: It has another; the text names the place.
    """
    if not (_MAY_BE_TAG.search(text) and _PROCESS.search(text)):
        return
    with contextlib.suppress(YAMLError):  # told by who makes something of it
        for event in YAML(typ="safe").parse(text):
            tag = getattr(event, "tag", None)
            if tag is not None and tag not in _TAGS:
                mark = event.start_mark
                place = f"{document_message(url)}:{mark.line + 1}:{mark.column + 1}"
                raise DocumentError(
                    f"{place}: YAML's tag {tag} means nothing in CWL.",
                    hint="Remove it, or put the text in quotes if it begins with an exclamation mark.",
                )


class _Imports:
    """Follows imports as the parser has them, before anything is made of them."""

    def __init__(self, fetched: Callable[[str], str]) -> None:
        self._fetched = fetched
        self._roots: dict[str, Node | None] = {}
        self._ending: set[int] = set()  # nodes that are known to come to an end

    def root(self, url: str) -> Node | None:
        """Return what lies at a URL; None for what cannot be read, which is told where it is needed."""
        if url not in self._roots:
            try:
                self._roots[url] = YAML(typ="safe").compose(self._fetched(url))
            except (YAMLError, SchemaSaladException, OSError, ValueError):
                self._roots[url] = None
        return self._roots[url]

    def visit(self, node: Node | None, url: str, above: frozenset[int]) -> None:
        """Look at a node of a file and at all that it leads to."""
        if node is None or id(node) in self._ending:
            return
        above |= {id(node)}
        for key, part in _parts(node):
            if key not in _IMPORTS or not isinstance(part, ScalarNode):
                self.visit(part, url, above)
                continue
            place, fragment = urllib.parse.urldefrag(urllib.parse.urljoin(url, str(part.value)))
            # schema-salad mixes in a file as a whole, whatever part of it is named.
            target = self.root(place) if key == _MIXIN else _named(self.root(place), fragment)
            if id(target) in above:
                mark = part.start_mark
                raise DocumentError(
                    f"{document_message(url)}:{mark.line + 1}:{mark.column + 1}: {part.value} imports itself.",
                    hint="Let no part of a document import itself, also through others.",
                )
            self.visit(target, place, above)
        self._ending.add(id(node))


def _parts(node: Node) -> list[tuple[str, Node]]:
    if isinstance(node, MappingNode):
        return [(str(key.value), value) for key, value in node.value]
    return [("", part) for part in node.value] if isinstance(node, SequenceNode) else []


def _named(node: Node | None, fragment: str) -> Node | None:
    """Return the part of a document that has an id, or all of it where none is named."""
    if node is None or not fragment:
        return node
    parts = _parts(node)
    if any(key == "id" and str(part.value).rpartition("#")[2] == fragment for key, part in parts):
        return node
    return next((found for _, part in parts if (found := _named(part, fragment)) is not None), None)


@dataclass(slots=True)
class Reading:
    """What was read for a document.

    Attributes:
        untrusted: Whether no document is trusted, not even those of this machine.
        urls: Every file and URL.
        texts: Those that are CWL documents, by URL.
        parts: URLs of the others: what ``$include``, ``$import`` and ``$schemas`` name.
        hosts: Hosts of all web addresses that stand in files of this machine.
    """

    untrusted: bool = False
    urls: set[str] = field(default_factory=set)
    texts: dict[str, str] = field(default_factory=dict)
    parts: dict[str, None] = field(default_factory=dict)
    hosts: set[str] = field(default_factory=set)

    def note(self, url: str, text: str) -> None:
        """Note what was read."""
        if path_of(url) is not None:
            self.hosts |= hosts_of(_WEB_ADDRESS.findall(text))
        if _PROCESS.search(text):
            self.texts[url] = text
        else:
            self.parts[url] = None

    def named(self) -> Iterator[NamedFile]:
        """Yield the files of this machine that documents include."""
        for url in self.parts:
            if path_of(url) is not None:
                yield NamedFile(location=url, place=self.place(url), included=True)

    def place(self, url: str) -> str:
        """Return where a document names a file that it includes, as far as that can be told."""
        name = re.escape(urllib.parse.unquote(url).rpartition("/")[2])
        wanted = re.compile(rf"(?:\$(?:include|import|schemas)|\brun)\b.*{name}|^\s*-\s.*{name}\s*$")
        for document, text in self.texts.items():
            for number, line in enumerate(text.splitlines(), 1):
                if wanted.search(line):
                    return f"{_shown(document)}:{number}"
        return _shown(next(iter(self.texts), url))


def named_files(process: Process, reading: Reading | None) -> tuple[NamedFile, ...]:
    """Return the files that a process names, and all that it runs; each once."""
    found = [*_of_process(process), *(() if reading is None else reading.named())]
    return tuple({each.location: each for each in reversed(found)}.values())[::-1]


def _of_process(process: Process) -> Iterator[NamedFile]:
    yield from _within(process.tool)
    yield from _within(process.requirements)
    yield from _within(process.hints)
    if isinstance(process, Workflow):
        for step in process.steps:
            yield from _within(step.tool)
            yield from _of_process(step.embedded_tool)


def _within(node: Any) -> Iterator[NamedFile]:
    if isinstance(node, Mapping):
        yield from _of_mapping(node)
        for key, value in node.items():
            if key != "run":
                yield from _within(value)
    elif isinstance(node, list):
        for item in node:
            yield from _within(item)


def _of_mapping(node: Mapping[str, Any]) -> Iterator[NamedFile]:
    keys = ("location", "path") if node.get("class") in ("File", "Directory") else _IMAGES if "class" in node else ()
    for key in keys:
        location = node.get(key)
        path = path_of(location) if isinstance(location, str) else None
        if (path is not None and path.is_absolute()) or (isinstance(location, str) and is_web(location)):
            yield NamedFile(location=str(location), place=_place(node, key))


def _place(node: Any, key: str) -> str:
    """Return the place of an entry as ``/directory/workflow.cwl:3:5``."""
    told = document_message(str(SourceLine(node, key, str).makeError("named")))
    place = told.removesuffix("named").rstrip(": ")
    return os.path.abspath(place) if place and not is_web(place) else place  # noqa: PTH100 - a text


def _shown(url: str) -> str:
    return str(path_of(url) or url)


class NotFetchedError(DocumentError):
    """A document refers to another machine, and nothing may be fetched now."""


class RecordingFetcher(DefaultFetcher):
    """Remembers which files and URLs a document was made of; reads nothing that would not end, or that no run reads."""

    def __init__(self, reading: Reading, document: str, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.reading = reading
        self._document = document
        self._kept = False  # whether the last request was kept from an inner address

    def fetch_text(self, url: str, content_types: list[str] | None = None) -> str:
        """Fetch a text and remember its URL, unless it belongs to the language itself."""
        own = url.startswith("https://w3id.org/cwl/")
        if not own:
            self.reading.urls.add(url.partition("#")[0])
        text = self._bounded(url, content_types)
        if not own:
            self.reading.note(url, text)
        if repeated_too_often(text):
            place = document_message(url)
            raise DocumentError(f"{place}: its YAML aliases stand for too many values.", hint="Write the values out.")
        check_tags(text, url)
        check_imports(text, url, self._bounded)
        return text

    def check_exists(self, url: str) -> bool:
        """Check whether there is something at a URL; what may not be fetched is taken to be there."""
        is_remote = url.startswith(_REMOTE)
        if open_text(url) is not None or (is_remote and not may_fetch()):
            return True
        self._keep_outer(url)
        return super().check_exists(asked_at(url)) or self._kept

    def _bounded(self, url: str, content_types: list[str] | None = None) -> str:
        if (text := open_text(url)) is not None:
            check_size(url, len(text))
            return text
        if url.startswith(_REMOTE) and not may_fetch() and not isinstance(self.cache.get(url), str):
            raise self._not_fetched(url)
        check_file(url, named=url == self._document)
        self._demand_readable(url)
        self._keep_outer(url)
        try:
            text = super().fetch_text(asked_at(url), content_types)
        except SchemaSaladException as error:
            if self._kept:
                raise self._inner(url) from error
            raise
        check_size(url, len(text))
        return text

    def _keep_outer(self, url: str) -> None:
        """Let no request lead into the network of this machine from now on but to hosts that may be asked."""
        self._kept = False
        if url.startswith(_REMOTE) and self.session is not None:
            keep_outer(self.session, self._may_reach)

    def _may_reach(self, host: str) -> bool:
        """Check whether a person named a host, or a document of this machine that is trusted does."""
        known = Settings()
        named = host in hosts_of((self._document, *known.allow_url))
        may = named or (host in self.reading.hosts and not (self.reading.untrusted or known.untrusted))
        self._kept = self._kept or not may
        return may

    def _inner(self, url: str) -> DocumentError:
        place = document_message(self.reading.place(url))
        return DocumentError(
            f"{place}: {shown_url(url)} leads into the network of this machine, and only what nobody trusts names it.",
            hint="Keep the document on this machine, or let documents name it by CWL_PREFECT_ALLOW_URL.",
        )

    def _not_fetched(self, url: str) -> NotFetchedError:
        places = (place_in(document, re.escape(url)) for document in self.reading.texts)
        fault = Fault(
            place=next(filter(None, places), None),
            text=f"{url} is not fetched while a document is edited, so that the rest is not checked.",
            fix="Check it by `cwl-prefect validate`.",
        )
        return NotFetchedError(str(fault), hint=fault.fix, faults=(fault,))

    def _demand_readable(self, url: str) -> None:
        if url == self._document:
            return  # a person named it
        try:
            replace(EVERYTHING, private=Private.of(Settings())).demand_location(url)
        except InputError as error:
            raise DocumentError(f"{document_message(self.reading.place(url))}: {error.message}") from error
