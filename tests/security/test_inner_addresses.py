"""Documents that nobody trusts read nothing in the network of this machine, whatever they name, expressions too."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cwl_prefect.errors import CwlPrefectError
from cwl_prefect.model.values import CwlObject
from cwl_prefect.settings import Settings
from tests.security.driven import LOAD, driven
from tests.web_server import WebServer, running_web_server

REFUSED = "leads into the network of this machine"

BY_EXPRESSION = """
cwlVersion: v1.2
class: Workflow
requirements: {InlineJavascriptRequirement: {}}
inputs: []
outputs: {text: {type: string, outputSource: read/text}}
steps:
  name:
    in: []
    out: [file]
    run:
      class: ExpressionTool
      inputs: []
      outputs: {file: File}
      expression: "${return {file: {class: 'File', location: 'LOCATION'}};}"
  read:
    in: {file: name/file}
    out: [text]
    run:
      class: ExpressionTool
      inputs: {file: {type: File, loadContents: true}}
      outputs: {text: string}
      expression: "${return {text: inputs.file.contents};}"
"""


@dataclass(frozen=True)
class Web:
    """Two servers: of documents, and one that the world does not reach.

    Attributes:
        outer: The one that a person names.
        inner: The other, with a secret.
        urls: The ways to the secret.
    """

    outer: WebServer
    inner: WebServer
    urls: dict[str, str]


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    asked = socket.getaddrinfo

    def answer(host: str, *arguments: object, **options: object) -> object:
        return asked("127.0.0.1" if host == "data.example" else host, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,127.0.0.2,data.example")
    with running_web_server("127.0.0.2") as outer, running_web_server() as inner:
        number = inner.put("secret", b"sesame")
        outer.redirections["moved"] = number
        name = number.replace("127.0.0.1", "data.example")
        yield Web(outer, inner, {"number": number, "name": name, "redirection": f"{outer.address}/moved"})


async def run(document: str, home: Path, order: CwlObject, **settings: object) -> object:
    chosen = Settings.model_validate({"home": home, "cache": False, "backend": "local", **settings})
    return (await driven(document, order, chosen))["text"]


@pytest.mark.parametrize("way", ["number", "name", "redirection"])
@pytest.mark.parametrize("text", [LOAD, BY_EXPRESSION], ids=["by-default", "by-expression"])
async def test_a_document_of_the_web_reads_nothing_there(web: Web, tmp_path: Path, text: str, way: str) -> None:
    document = web.outer.put("main.cwl", text.replace("LOCATION", web.urls[way]).encode())
    with pytest.raises(CwlPrefectError, match=REFUSED):
        await run(document, tmp_path / "home", {})
    assert web.inner.asked == []


@pytest.mark.parametrize("way", ["number", "name"])
async def test_a_document_of_this_machine_that_is_not_trusted_neither(web: Web, tmp_path: Path, way: str) -> None:
    (tmp_path / "main.cwl").write_text(LOAD.replace("LOCATION", web.urls[way]))
    with pytest.raises(CwlPrefectError, match=REFUSED):
        await run(str(tmp_path / "main.cwl"), tmp_path / "home", {}, untrusted=True)
    assert web.inner.asked == []


async def test_what_a_document_of_this_machine_runs_from_the_web_neither(web: Web, tmp_path: Path) -> None:
    tool = web.outer.put("tool.cwl", LOAD.replace("LOCATION", web.urls["number"]).encode())
    step = f"{{read: {{run: '{tool}', in: [], out: [text]}}}}"
    (tmp_path / "main.cwl").write_text(
        "cwlVersion: v1.2\nclass: Workflow\ninputs: []\n"
        f"outputs: {{text: {{type: string, outputSource: read/text}}}}\nsteps: {step}\n"
    )
    with pytest.raises(CwlPrefectError, match=rf"named in {tool}:8:28\): it {REFUSED}"):
        await run(str(tmp_path / "main.cwl"), tmp_path / "home", {})
    assert web.inner.asked == []


async def test_the_place_is_told(web: Web, tmp_path: Path) -> None:
    document = web.outer.put("main.cwl", LOAD.replace("LOCATION", "http://169.254.169.254/latest/meta-data").encode())
    told = rf"^{document}:5:3: main: input f: File http://169\S+ \(named in {document}:8:28\): it {REFUSED}"
    with pytest.raises(CwlPrefectError, match=told):
        await run(document, tmp_path / "home", {})


@pytest.mark.parametrize("way", ["number", "name"])
async def test_what_a_person_names_is_read(web: Web, tmp_path: Path, way: str) -> None:
    document = web.outer.put("main.cwl", LOAD.replace("LOCATION", "http://10.255.255.1/nothing").encode())
    order: CwlObject = {"f": {"class": "File", "location": web.urls[way]}}
    assert await run(document, tmp_path / "home", order) == "sesame"


async def test_where_a_setting_allows_it_documents_read_there(web: Web, tmp_path: Path) -> None:
    document = web.outer.put("main.cwl", BY_EXPRESSION.replace("LOCATION", web.urls["redirection"]).encode())
    allowed = [f"{web.outer.address}/", f"{web.inner.address}/"]
    assert await run(document, tmp_path / "home", {}, allow_url=allowed) == "sesame"


async def test_a_trusted_document_reads_what_it_names(web: Web, tmp_path: Path) -> None:
    (tmp_path / "main.cwl").write_text(LOAD.replace("LOCATION", web.urls["name"]))
    assert await run(str(tmp_path / "main.cwl"), tmp_path / "home", {}) == "sesame"
