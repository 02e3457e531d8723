"""Inputs at URLs, from the job order to the processes that read them."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from cwl_prefect._lib.uris import path_of
from cwl_prefect.backends.local.backend import LocalBackend
from cwl_prefect.errors import CwlPrefectError, InputError, StorageError
from cwl_prefect.flows.execution.backends import Backends
from cwl_prefect.model.events import StepEventKind
from cwl_prefect.settings import OnError
from cwl_prefect.storage.services import names
from tests.engines import answer
from tests.unit.flows.driving import Drive, drive, graph
from tests.unit.storage.stac.documents import item

SHOW = """
- class: CommandLineTool
  id: show
  inputs:
    file: {type: File, inputBinding: {position: 1}}
    other: {type: File?, inputBinding: {position: 2}}
    after: Any?
  outputs: {o: stdout}
  stdout: out
  baseCommand: cat
"""

SCATTERED = graph("""
    inputs: {file: File, numbers: 'int[]'}
    outputs: {r: {type: 'File[]', outputSource: each/o}}
    steps:
      each: {run: '#show', scatter: after, in: {file: file, after: numbers}, out: [o]}
    """).replace("$graph:\n", f"$graph:\n{SHOW.strip()}\n")

ONE = """
    inputs: {file: File, other: 'File?'}
    outputs: {r: {type: File, outputSource: one/o}}
    steps:
      one: {run: '#show', in: {file: file, other: other}, out: [o]}
    """


def processes(directory: Path, document: str, **settings) -> Drive:
    """Make a run ready whose tools are processes of this machine."""
    run = drive(directory, document, on_error=OnError.CONTINUE, **settings)
    backends = Backends(run.settings, processes=LocalBackend, available=answer(found=False))
    run.request = replace(run.request, backends=backends)
    return run


def document(main: str) -> str:
    return graph(main).replace("$graph:\n", f"$graph:\n{SHOW.strip()}\n")


DIRECTORY = document(ONE.replace("file: File,", "file: Directory,")).replace(
    "file: {type: File,", "file: {type: Directory,"
)


def file(url: str, **further) -> dict:
    return {"class": "File", "location": url, **further}


def text(found: dict) -> str:
    return path_of(found["location"]).read_text()


async def test_a_scatter_over_one_url_reads_it_once_and_leaves_nothing_in_tmpdir(web, tmp_path, monkeypatch):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    outputs = await processes(tmp_path, SCATTERED)(file=file(web.put("a.txt", b"hello")), numbers=list(range(6)))

    assert [text(found) for found in outputs["r"]] == ["hello"] * 6
    assert web.reads("a.txt") == [None]
    assert list(temporary.iterdir()) == []


async def test_a_second_run_finds_its_calls_and_reads_nothing(web, object_store, tmp_path):
    given = {"file": file(web.put("a.txt", b"web ")), "other": file(object_store.put("b.txt", b"store"))}
    first = await processes(tmp_path, document(ONE))(**given)
    again = processes(tmp_path, document(ONE))
    again.run_id = "again"
    second = await again(**given)

    assert (text(first["r"]), text(second["r"])) == ("web store", "web store")
    assert StepEventKind.CACHED in again.told("one")
    assert web.reads("a.txt") == [None]


async def test_a_default_of_a_tool_may_be_a_url(web, tmp_path):
    url = web.put("a.txt", b"default")
    main = document(ONE.replace("file: file, ", "").replace("file: File, ", ""))
    main = main.replace("file: {type: File,", f"file: {{type: File, default: {{class: File, location: '{url}'}},", 1)
    outputs = await processes(tmp_path, main)()

    assert text(outputs["r"]) == "default"


async def test_names_of_zenodo_and_of_data_repository_services_are_inputs(web, tmp_path, monkeypatch):
    monkeypatch.setattr(names, "ZENODO_FILE", f"{web.address}/{{record}}/{{file}}?download=1")
    monkeypatch.setattr(names, "DRS_OBJECT", f"{web.address}/{{host}}/{{id}}")
    web.put("1/a%20b.txt", b"record ")
    web.put("host/2", json.dumps({"access_methods": [{"access_url": {"url": web.put("b", b"object")}}]}).encode())
    main = document(ONE.replace("file: file, ", "").replace("file: File, ", ""))
    main = main.replace("file: {", "file: {default: {class: File, location: 'zenodo:1/a%20b.txt'}, ", 1)
    outputs = await processes(tmp_path, main)(other=file("drs://host/2"))

    assert text(outputs["r"]) == "record object"


async def test_secondary_files_are_found_beside(web, object_store, tmp_path):
    main = ONE.replace("file: File,", "file: {type: File, secondaryFiles: [^.idx, {pattern: .none, required: false}]},")
    shown = document(main).replace("baseCommand: cat", "baseCommand: [sh, -c, 'cat \"${0%.txt}.idx\"']")
    web.put("a.idx", b"web")
    object_store.put("dir/a.idx", b"store")
    for url, said in ((web.put("a.txt", b""), "web"), (object_store.put("dir/a.txt", b""), "store")):
        outputs = await processes(tmp_path, shown, cache=False)(file=file(url))
        assert text(outputs["r"]) == said


async def test_a_secondary_file_that_is_missing_is_told(object_store, tmp_path):
    main = ONE.replace("file: File,", "file: {type: File, secondaryFiles: .idx},")

    with pytest.raises(InputError, match=r"Missing required secondary file a\.txt\.idx of a\.txt"):
        await processes(tmp_path, document(main))(file=file(object_store.put("a.txt", b"")))


@pytest.mark.parametrize("status", [401, 404])
async def test_the_page_of_an_error_is_no_input(web, tmp_path, status):
    url = web.put("a.txt", b"hello")
    web.refused["a.txt"] = status

    with pytest.raises(StorageError, match=r"/a\.txt\?… cannot be read"):
        await processes(tmp_path, document(ONE))(file=file(f"{url}?token=secret"))


async def test_a_directory_of_the_web_is_an_error_that_says_so(web, tmp_path):
    with pytest.raises(StorageError, match="HTTP has no directories"):
        await processes(tmp_path, DIRECTORY)(file={"class": "Directory", "location": web.put("dir", b"")})


async def test_a_prefix_of_a_store_is_a_directory(object_store, tmp_path):
    object_store.put("dir/deep/a.txt", b"deep")
    shown = DIRECTORY.replace("baseCommand: cat", "baseCommand: [sh, -c, 'cat \"$0\"/deep/*']")
    outputs = await processes(tmp_path, shown)(file={"class": "Directory", "location": object_store.url("dir/")})

    assert text(outputs["r"]) == "deep"


@pytest.fixture
def scene(tmp_path):
    """Give a Directory that is a STAC item of this machine with one asset beside it."""
    folder = tmp_path / "scene"
    folder.mkdir()
    (folder / "red.tif").write_text("red")
    (folder / "a.json").write_text(json.dumps(item(assets={"red": "./red.tif"})))
    return {"class": "Directory", "location": (folder / "a.json").as_uri()}


async def test_a_document_of_this_machine_is_the_catalog_that_it_leads_to(scene, tmp_path):
    shown = DIRECTORY.replace("baseCommand: cat", "baseCommand: [sh, -c, 'cat \"$0\"/a/red.tif']")
    outputs = await processes(tmp_path, shown, stage_in="stac")(file=scene)

    assert text(outputs["r"]) == "red"


async def test_without_catalogs_it_is_a_file_as_all_others(scene, tmp_path):
    with pytest.raises(InputError, match="there is a file at this path"):
        await processes(tmp_path, DIRECTORY)(file=scene)


async def test_a_document_beside_credentials_is_refused(scene, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "scene"))
    (tmp_path / "scene/.ssh").mkdir()

    with pytest.raises(CwlPrefectError, match=r"it holds .*/scene/\.ssh, where programs keep credentials"):
        await processes(tmp_path, DIRECTORY, stage_in="stac")(file=scene)


async def test_no_credential_is_in_the_environment_of_a_tool(object_store, tmp_path):
    assert os.environ["AWS_SECRET_ACCESS_KEY"]
    shown = document(ONE).replace("baseCommand: cat", "baseCommand: [sh, -c, env]")
    outputs = await processes(tmp_path, shown)(file=file(object_store.put("a.txt", b"")))

    assert "AWS_" not in text(outputs["r"])


async def test_a_document_that_nobody_trusts_reads_no_store_with_the_rights_of_its_user(object_store, tmp_path):
    default = f"{{class: File, location: '{object_store.put('a', b'')}'}}"
    main = ONE.replace("file: File,", f"file: {{type: File, default: {default}}},")

    with pytest.raises(CwlPrefectError, match=r"File s3://data/a.*with your credentials"):
        await processes(tmp_path, document(main), untrusted=True)()
