"""What the text of a document, or of a part of it, may hold, before anything is made of it."""

import contextlib
import json
import re
import stat
import urllib.parse
from collections.abc import Callable
from typing import Any
from xml.parsers import expat

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from schema_salad.exceptions import SchemaSaladException

from cwl_prefect._lib.uris import path_of
from cwl_prefect.cwl.values.messages import document_message, short_path
from cwl_prefect.errors import DocumentError

LARGEST_TEXT = 16 * 1024 * 1024  # bytes of one file of a document; YAML of this size takes minutes to read
_MIXIN = "$mixin"
_IMPORTS = ("$import", _MIXIN)
_MAY_IMPORT = re.compile(r"\$(?:import|mixin)|\\[xuU\r\n]")  # YAML may write any part of a field's name as an escape
MOST_COPIED = 10**10  # characters, in about a second
_DESCRIPTIONS = 2  # how deep they begin, below the root of RDF/XML
_MAY_BE_TAG = re.compile(r"(?m)(?:^|[\s,\[{])!\S")
_TAGS = frozenset({"!", *(f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "bool", "null", "map", "seq"))})
IS_PROCESS = re.compile(r"""^\s*\{?\s*["']?cwlVersion["']?\s*:""", re.MULTILINE)


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
    if not (_MAY_BE_TAG.search(text) and IS_PROCESS.search(text)):
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


def check_ontology(text: str, url: str) -> None:
    """Check that rdflib reads what ``$schemas`` may name in time, and that it reads nothing else for it.

    Raises:
        DocumentError: It would fetch contexts of JSON-LD, or copy the text of XML over and over.
    """
    begins = text.lstrip("\ufeff \t\r\n")[:1]
    if begins in ("{", "["):
        _check_contexts(text, url)
    elif begins == "<":
        _check_copies(text, url)


def _check_contexts(text: str, url: str) -> None:
    contexts: list[Any] = []

    def note(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """Note the contexts of an object, also one that another of the same name takes the place of."""
        contexts.extend(value for key, value in pairs if key in ("@context", "@import"))
        return dict(pairs)

    with contextlib.suppress(json.JSONDecodeError):
        json.loads(text, object_pairs_hook=note)
    named = [part for value in contexts for part in (value if isinstance(value, list) else [value])]
    if any(isinstance(part, str) for part in named):
        raise DocumentError(
            f"{document_message(url)}: it names a context of JSON-LD that lies elsewhere, which is not fetched.",
            hint="Write the context into it, or name the ontology as RDF/XML or Turtle.",
        )


def _check_copies(text: str, url: str) -> None:
    """Check how much rdflib would copy: it appends each line, and what an entity stands for, to the text before it."""
    depth = length = copied = 0

    def add(data: str) -> None:
        """Count what rdflib copies to append some text."""
        nonlocal length, copied
        length += len(data)
        copied += length
        if copied > MOST_COPIED:
            raise DocumentError(
                f"{document_message(url)}: a text in it is too long, or its entities stand for too much.",
                hint="Name an ontology with shorter texts.",
            )

    def begin(name: str, _: object) -> None:
        """Begin a description of its own, or go on with what is within one."""
        nonlocal depth, length
        depth += 1
        length = 0 if depth <= _DESCRIPTIONS else length
        add(name)

    def end(name: str) -> None:
        """Go back to what was around it."""
        nonlocal depth
        depth -= 1
        add(name)

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = begin, end, add
    with contextlib.suppress(expat.ExpatError):  # rdflib reads no further either
        parser.Parse(text.encode("utf-8", "surrogatepass"))


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
