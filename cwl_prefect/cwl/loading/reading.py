"""What is read for a document, where from, and which files of the machine and the web it names itself."""

import contextlib
import logging
import os
import re
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cwltool.process import Process
from cwltool.workflow import Workflow
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
from cwl_prefect.cwl.loading.texts import IS_PROCESS, check_file, check_imports, check_ontology, check_size, check_tags
from cwl_prefect.cwl.values.messages import document_message, short_path
from cwl_prefect.errors import DocumentError, Fault, InputError
from cwl_prefect.model.plan import NamedFile
from cwl_prefect.settings import Settings
from cwl_prefect.storage.outer import hosts_of, keep_outer
from cwl_prefect.storage.services.registries import asked_at

_logger = logging.getLogger(__name__)

_MAY_NAME_ONTOLOGIES = re.compile(r"\$schemas|\\[xuU\r\n]")
_WEB_ADDRESS = re.compile(r"(?i)https?://[^\s'\"<>]+")
_REMOTE = ("http:", "https:")
_IMAGES = ("dockerLoad", "dockerImport")


@dataclass(slots=True)
class Reading:
    """What was read for a document.

    Attributes:
        untrusted: Whether no document is trusted, not even those of this machine.
        urls: Every file and URL.
        texts: Those that are CWL documents, by URL.
        parts: URLs of the others: what ``$include``, ``$import`` and ``$schemas`` name.
        hosts: Hosts of all web addresses that stand in files of this machine.
        names_ontologies: Whether one of them may have the field ``$schemas``.
        failures: Why what was wanted could not be read, by URL.
    """

    untrusted: bool = False
    urls: set[str] = field(default_factory=set)
    texts: dict[str, str] = field(default_factory=dict)
    parts: dict[str, None] = field(default_factory=dict)
    hosts: set[str] = field(default_factory=set)
    names_ontologies: bool = False
    failures: dict[str, str] = field(default_factory=dict)

    def note(self, url: str, text: str) -> None:
        """Note what was read."""
        if path_of(url) is not None:
            self.hosts |= hosts_of(_WEB_ADDRESS.findall(text))
        self.names_ontologies |= _MAY_NAME_ONTOLOGIES.search(text) is not None
        if IS_PROCESS.search(text):
            self.texts[url] = text
        else:
            self.parts[url] = None

    @contextlib.contextmanager
    def noting_failure(self, url: str) -> Iterator[None]:
        """Note why something cannot be read: schema-salad goes on in silence where it is an ontology."""
        try:
            yield
        except Exception as error:
            self.failures[url] = document_message(str(error)) or type(error).__name__
            raise

    def tell_failures(self) -> None:
        """Warn of what could not be read, where the documents could be loaded without it."""
        for url, reason in self.failures.items():
            _logger.warning(
                "%s: $schemas: %s is left out, and with it how its formats are related: %s",
                self.place(url),
                short_path(_shown(url)),
                reason.rstrip("."),
            )

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
        if self.reading.names_ontologies:
            with self.reading.noting_failure(url):
                check_ontology(text, url)
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
        with self.reading.noting_failure(url):
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
