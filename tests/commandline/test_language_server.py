"""A client of the language server protocol talks to ``cwl-prefect lsp`` over the standard streams, as editors do."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio
from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.lsp.client import LanguageClient

from tests.commands import BIN, command_environment
from tests.unit.editor.conftest import TOOL, WORKFLOW, position

LIMIT_S = 120  # for each answer; only a server that hangs needs it


class Editor(LanguageClient):
    """A client that remembers what it was last told of each document."""

    def __init__(self) -> None:
        super().__init__("editor", "1")
        self.told: asyncio.Queue[types.PublishDiagnosticsParams] = asyncio.Queue()
        self.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)(partial(self.told.put_nowait))
        self.exit_code: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

    async def server_exit(self, server: asyncio.subprocess.Process) -> None:
        self.exit_code.set_result(server.returncode)

    def open(self, path: Path, text: str) -> None:
        item = types.TextDocumentItem(uri=path.as_uri(), language_id="cwl", version=1, text=text)
        self.text_document_did_open(types.DidOpenTextDocumentParams(text_document=item))

    def change(self, path: Path, text: str, version: int) -> None:
        whole = types.TextDocumentContentChangeWholeDocument(text=text)
        document = types.VersionedTextDocumentIdentifier(uri=path.as_uri(), version=version)
        self.text_document_did_change(
            types.DidChangeTextDocumentParams(text_document=document, content_changes=[whole])
        )

    async def codes(self, version: int) -> list[object]:
        """Return the rules of what is found in a version of a document."""
        while True:
            told = await asyncio.wait_for(self.told.get(), LIMIT_S)
            if told.version == version:
                return [diagnostic.code for diagnostic in told.diagnostics]


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    yield from command_environment(tmp_path / "home")


@pytest_asyncio.fixture
async def editor(environment: dict[str, str], tmp_path: Path) -> AsyncIterator[Editor]:
    client = Editor()
    await client.start_io(str(BIN / "cwl-prefect"), "lsp", env=environment, cwd=tmp_path)
    yield client
    if not client.exit_code.done():
        client.exit(None)
        await asyncio.wait_for(client.exit_code, LIMIT_S)
    await client.stop()


def at(path: Path, marked: str) -> dict[str, object]:
    line, column = position(path.read_text(), marked)
    return {
        "text_document": types.TextDocumentIdentifier(uri=path.as_uri()),
        "position": types.Position(line=line, character=column),
    }


async def test_a_session_of_an_editor(editor: Editor, tmp_path: Path) -> None:
    tool, workflow = tmp_path / "tools" / "say.cwl", tmp_path / "main.cwl"
    tool.parent.mkdir()
    tool.write_text(TOOL)
    workflow.write_text(WORKFLOW)
    asked = types.InitializeParams(capabilities=types.ClientCapabilities())
    able = (await asyncio.wait_for(editor.initialize_async(asked), LIMIT_S)).capabilities
    assert able.hover_provider
    assert able.definition_provider
    assert able.completion_provider
    assert able.execute_command_provider
    assert list(able.execute_command_provider.commands) == ["cwl-prefect.graph"]
    editor.initialized(types.InitializedParams())

    editor.open(workflow, WORKFLOW)
    assert await editor.codes(version=1) == []
    editor.change(workflow, WORKFLOW.replace("say/said", "say/sayd"), version=2)
    assert await editor.codes(version=2) == ["invalid-document"]
    editor.change(workflow, WORKFLOW, version=3)
    assert await editor.codes(version=3) == []

    hover = await editor.text_document_hover_async(types.HoverParams(**at(workflow, "      mess|age: text")))
    assert hover is not None
    assert "What to say." in hover.contents.value
    found = await editor.text_document_definition_async(types.DefinitionParams(**at(workflow, "    run: too|ls")))
    assert isinstance(found, types.Location)
    assert found.uri == tool.as_uri()
    items = await editor.text_document_completion_async(types.CompletionParams(**at(workflow, "      message: |text")))
    assert [item.label for item in items] == ["text", "shouted", "say/said"]

    graph = types.ExecuteCommandParams(command="cwl-prefect.graph", arguments=[workflow.as_uri()])
    assert "<svg" in await asyncio.wait_for(editor.workspace_execute_command_async(graph), LIMIT_S)
    editor.change(workflow, "class: Workflow", version=4)
    with pytest.raises(JsonRpcException, match="there is no cwlVersion"):
        await asyncio.wait_for(editor.workspace_execute_command_async(graph), LIMIT_S)

    await asyncio.wait_for(editor.shutdown_async(None), LIMIT_S)
    editor.exit(None)
    assert await asyncio.wait_for(editor.exit_code, LIMIT_S) == 0
