"""The language server: what an editor asks, answered over the standard streams."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from lsprotocol import types
from pygls.exceptions import JsonRpcInvalidParams, JsonRpcInvalidRequest
from pygls.lsp.server import LanguageServer
from pygls.workspace import TextDocument

from cwl_prefect import __version__
from cwl_prefect._lib.uris import path_of
from cwl_prefect.cwl.javascript import engine
from cwl_prefect.editor.completion import Kind, suggestions
from cwl_prefect.editor.diagnostics import diagnostics, findings_in, graph_of
from cwl_prefect.editor.hover import told_of, told_of_word
from cwl_prefect.editor.outline import parsed, spot_at
from cwl_prefect.editor.references import Place, Target, place_in_process, target_at
from cwl_prefect.errors import CwlPrefectError
from cwl_prefect.settings import Settings

GRAPH = "cwl-prefect.graph"
_PAUSE_S = 0.03  # without typing, before a document is checked
_SMALLEST = "{cwlVersion: v1.2, class: CommandLineTool, baseCommand: echo, inputs: {}, outputs: {}}"
_WORD = re.compile(r"[\w.$/#-]+")
_KINDS = {
    Kind.FIELD: types.CompletionItemKind.Property,
    Kind.PORT: types.CompletionItemKind.Variable,
    Kind.CLASS: types.CompletionItemKind.Class,
    Kind.VALUE: types.CompletionItemKind.Value,
}
Result = TypeVar("Result")


class CwlServer(LanguageServer):
    """Checks the documents that are open, each time one changes, and answers what is asked of them."""

    def __init__(self, settings: Settings) -> None:
        super().__init__("cwl-prefect", __version__)
        self._settings = settings
        self._worker = ThreadPoolExecutor(max_workers=1)  # cwltool keeps what it knows for the whole process
        self._checks: dict[str, asyncio.Task[None]] = {}

    def check(self, uri: str) -> None:
        """Check a document after a pause; what waited for an earlier text of it is given up."""
        self.forget(uri)
        self._checks[uri] = asyncio.get_running_loop().create_task(self._check(uri))

    async def warm_up(self) -> None:
        """Check a document of nobody, which loads the schemas of the language."""
        path = Path.cwd() / "warming-up.cwl"
        await self.working(findings_in, path, {path: _SMALLEST}, self._settings)

    def check_all(self) -> None:
        """Check every document that is open: what one says may be wrong by what another is now."""
        for uri in self.workspace.text_documents:
            self.check(uri)

    def forget(self, uri: str) -> None:
        """Cancel a check that waits."""
        waiting = self._checks.pop(uri, None)
        if waiting is not None:
            waiting.cancel()

    async def _check(self, uri: str) -> None:
        await asyncio.sleep(_PAUSE_S)
        document = self.workspace.get_text_document(uri)
        path = path_of(uri)
        if path is None:
            return
        version, text = document.version, document.source
        found = await self.working(findings_in, path, self.texts(), self._settings)
        shown = types.PublishDiagnosticsParams(uri=uri, version=version, diagnostics=diagnostics(found, path, text))
        self.text_document_publish_diagnostics(shown)

    def texts(self) -> dict[Path, str]:
        """Return the texts that are open."""
        documents = self.workspace.text_documents.items()
        return {path: document.source for uri, document in documents if (path := path_of(uri)) is not None}

    def working(self, function: Callable[..., Result], *arguments: object) -> Awaitable[Result]:
        """Call a function in the one thread that loads documents."""
        return asyncio.get_running_loop().run_in_executor(self._worker, partial(function, *arguments))

    def place(self, uri: str, position: types.Position) -> tuple[Place, str] | None:
        """Return the position within its process, and the word that is written there."""
        document = self.workspace.get_text_document(uri)
        path = path_of(uri)
        if path is None:
            return None
        root = parsed(document.source)
        line, column = _from_client(document, position)
        place = place_in_process(root, spot_at(root, line, column), path)
        return None if place is None or not place.spot.path else (place, _word(document, line, column))

    def graph(self, path: Path) -> Awaitable[str]:
        """Return the graph of a workflow as SVG."""
        return self.working(graph_of, path, self.texts())


def _from_client(document: TextDocument, position: types.Position) -> tuple[int, int]:
    found = document.position_codec.position_from_client_units(document.lines, position)
    return found.line, found.character


def _word(document: TextDocument, line: int, column: int) -> str:
    lines = document.lines
    words = _WORD.finditer(lines[line]) if line < len(lines) else iter(())
    return next((word[0] for word in words if word.start() <= column <= word.end()), "")


def _location(target: Target, texts: Mapping[Path, str]) -> types.Location:
    """Return where a target stands; its column is told in code units of UTF-16."""
    start, end = target.node.start_mark, target.node.end_mark
    lines = texts.get(target.path, "").splitlines()
    line = lines[start.line] if start.line < len(lines) else ""
    first = types.Position(start.line, len(line[: start.column].encode("utf-16-le")) // 2 if line else start.column)
    last = types.Position(end.line, end.column) if end.line == start.line else first
    return types.Location(uri=target.path.as_uri(), range=types.Range(first, last))


def server_for_editors(settings: Settings) -> CwlServer:
    """Make a server."""
    engine.install(timeout_s=1, memory_mib=32)  # only its syntax is looked at
    server = CwlServer(settings)
    _add_documents(server)
    _add_names(server)
    _add_completion(server)
    _add_graph(server)
    return server


def _add_documents(server: CwlServer) -> None:
    @server.feature(types.INITIALIZED)
    async def initialized(_params: types.InitializedParams) -> None:
        """Load what the first check needs, while the editor goes on."""
        await server.warm_up()

    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    async def did_open(params: types.DidOpenTextDocumentParams) -> None:
        """Check a document that is opened."""
        server.check(params.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    async def did_change(params: types.DidChangeTextDocumentParams) -> None:
        """Check a document that is changed."""
        server.check(params.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_DID_SAVE)
    async def did_save(_params: types.DidSaveTextDocumentParams) -> None:
        """Check all documents once one is saved."""
        server.check_all()

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    async def did_close(params: types.DidCloseTextDocumentParams) -> None:
        """Take away what was found in a document that is closed."""
        server.forget(params.text_document.uri)
        closed = types.PublishDiagnosticsParams(uri=params.text_document.uri, diagnostics=[])
        server.text_document_publish_diagnostics(closed)


def _add_names(server: CwlServer) -> None:
    @server.feature(types.TEXT_DOCUMENT_HOVER)
    async def hover(params: types.HoverParams) -> types.Hover | None:
        """Return what is told of the name at a position."""
        found = server.place(params.text_document.uri, params.position)
        if found is None:
            return None
        target = target_at(*found, server.texts())
        told = told_of_word(found[0]) if target is None else told_of(target)
        return None if told is None else types.Hover(types.MarkupContent(types.MarkupKind.Markdown, told))

    @server.feature(types.TEXT_DOCUMENT_DEFINITION)
    async def definition(params: types.DefinitionParams) -> types.Location | None:
        """Return where the name at a position is defined."""
        found = server.place(params.text_document.uri, params.position)
        texts = server.texts()
        target = None if found is None else target_at(*found, texts)
        return None if target is None else _location(target, texts)


def _add_completion(server: CwlServer) -> None:
    @server.feature(types.TEXT_DOCUMENT_COMPLETION, types.CompletionOptions(trigger_characters=[".", "/", " "]))
    async def completion(params: types.CompletionParams) -> list[types.CompletionItem]:
        """Return what may be written at a position."""
        document = server.workspace.get_text_document(params.text_document.uri)
        path = path_of(params.text_document.uri)
        line, column = _from_client(document, params.position)
        found = [] if path is None else suggestions(document.source, line, column, path, server.texts())
        return [
            types.CompletionItem(
                label=each.written,
                kind=_KINDS[each.kind],
                detail=each.detail or None,
                documentation=types.MarkupContent(types.MarkupKind.Markdown, each.doc) if each.doc else None,
            )
            for each in found
        ]


def _add_graph(server: CwlServer) -> None:
    @server.command(GRAPH)
    async def graph(uri: str) -> str:
        """Return the graph of a document, or why there is none."""
        path = path_of(uri)
        if path is None:
            raise JsonRpcInvalidParams(f"{uri}: this is no file of this machine.")
        try:
            return await server.graph(path)
        except CwlPrefectError as error:
            raise JsonRpcInvalidRequest(str(error)) from None
