import json

import pytest

from cwl_prefect import api
from cwl_prefect.cwl.access.host_files import is_untrusted
from cwl_prefect.errors import DocumentError, StorageError
from cwl_prefect.settings import Settings
from cwl_prefect.storage.services import names, registries
from cwl_prefect.storage.services.registries import asked_at, located
from tests.web_server import running_web_server

TOOL = """
cwlVersion: v1.2
class: CommandLineTool
inputs: {x: string}
outputs: []
baseCommand: echo
"""

WORKFLOW = """
cwlVersion: v1.2
class: Workflow
inputs: {x: string}
outputs: []
steps:
  beside: {run: tools/echo.cwl, in: {x: x}, out: []}
  above: {run: ../echo.cwl, in: {x: x}, out: []}
"""

ID = "#workflow/github.com/org/repo/name"
PLACE = "tools/%23workflow%2Fgithub.com%2Forg%2Frepo%2Fname/versions/v1%2F2"


RAW = "https://host/ga4gh/trs/v2/tools/a/versions/1/plain-CWL/descriptor"


def put(web, place, path="main.cwl", kind="PRIMARY_DESCRIPTOR"):
    files = [{"path": "tools/echo.cwl", "file_type": "SECONDARY_DESCRIPTOR"}, {"path": path, "file_type": kind}]
    web.put(f"{place}/CWL/files", json.dumps(files).encode())
    web.put(f"{place}/PLAIN_CWL/descriptor/{path}", WORKFLOW.encode())
    web.put(f"{place}/PLAIN_CWL/descriptor/tools/echo.cwl", TOOL.encode())
    web.put(f"{place}/PLAIN_CWL/descriptor/..%2Fecho.cwl", TOOL.encode())


@pytest.mark.parametrize("path", ["main.cwl", "/dir/main.cwl"])
def test_a_name_leads_to_the_first_document_of_its_version(web, path):
    put(web, PLACE, path)

    assert located(f"{ID}:v1/2", f"{web.address}/") == f"{web.address}/{PLACE}/PLAIN_CWL/descriptor/{path}"


def test_a_registry_leads_nowhere_else_in_the_network_of_this_machine(web):
    with running_web_server("127.0.0.2") as inner:
        put(inner, PLACE)
        web.redirections[f"{PLACE}/CWL/files"] = f"{inner.address}/{PLACE}/CWL/files"
        with pytest.raises(StorageError, match="it leads into the network of this machine"):
            located(f"{ID}:v1/2", web.address)
        assert inner.asked == []


@pytest.mark.parametrize("document", ["a.cwl#main", "https://host/a.cwl", "https://host/workflows/1", "#main", RAW])
def test_whatever_else_stays_as_it_is(document):
    assert located(document, "http://none") == document


@pytest.mark.parametrize(
    ("page", "registry", "place"),
    [
        (f"https://dockstore.org/workflows/{ID[10:]}:v1/2?tab=info", "https://dockstore.org", PLACE),
        ("https://workflowhub.eu/workflows/109?version=5", "https://workflowhub.eu", "tools/109/versions/5"),
    ],
)
def test_a_page_leads_to_the_document_that_it_shows(web, monkeypatch, page, registry, place):
    monkeypatch.setitem(registries._ROOTS, registry, web.address)
    put(web, place)

    assert located(page, "http://none") == f"{web.address}/{place}/PLAIN_CWL/descriptor/main.cwl"


def test_an_address_of_a_registry_leads_to_the_document(web):
    put(web, f"ga4gh/trs/v2/{PLACE}")
    found = located(f"{web.address}/ga4gh/trs/v2/tools/{ID}/versions/v1%2F2", "http://none")

    assert found == f"{web.address}/ga4gh/trs/v2/{PLACE}/PLAIN_CWL/descriptor/main.cwl"
    assert located(found, "http://none") == found


@pytest.mark.parametrize("document", [ID, f"https://dockstore.org/workflows/{ID[10:]}"])
def test_a_version_is_asked_for(document):
    with pytest.raises(DocumentError, match="names no version"):
        located(document, "http://none")


def test_a_workflow_of_another_language_is_told(web):
    put(web, PLACE, kind="OTHER")

    with pytest.raises(DocumentError, match=r"^#workflow/.*: the registry has no document of CWL"):
        located(f"{ID}:v1/2", web.address)


@pytest.mark.parametrize("content", [b"<html>", b'{"path": "a"}'])
def test_an_answer_that_is_no_list_of_files_is_told(web, content):
    web.put(f"{PLACE}/CWL/files", content)

    with pytest.raises(StorageError, match="gives no list of files by GA4GH TRS"):
        located(f"{ID}:v1/2", web.address)


def test_a_name_that_the_registry_has_not_is_told(web):
    with pytest.raises(StorageError, match=r"^#workflow/.* cannot be read: there is no such object"):
        located(f"{ID}:v1/2", web.address)


def test_what_lies_above_the_first_document_is_asked_for_by_its_relative_path():
    assert asked_at("http://h/tools/a/versions/1/PLAIN_CWL/sub/x.cwl") == (
        "http://h/tools/a/versions/1/PLAIN_CWL/descriptor/..%2Fsub%2Fx.cwl"
    )
    assert asked_at("http://h/tools/a/versions/1/PLAIN_CWL/descriptor/x.cwl").endswith("/descriptor/x.cwl")
    assert asked_at("file:///dir/x.cwl") == "file:///dir/x.cwl"


def test_a_document_of_a_record_is_loaded_with_what_lies_beside_it(web, tmp_path, monkeypatch):
    monkeypatch.setattr(names, "ZENODO_FILE", f"{web.address}/{{record}}/files/{{file}}?download=1")
    monkeypatch.setenv("HOME", str(tmp_path))
    web.put("1/files/dir/main.cwl", WORKFLOW.encode())
    web.put("1/files/dir/tools/echo.cwl", TOOL.encode())
    web.put("1/files/echo.cwl", TOOL.encode())
    plan = api.load_plan("zenodo:1/dir/main.cwl", settings=Settings(home=tmp_path))

    assert {step.id for step in plan.steps} == {"beside", "above"}
    assert is_untrusted(plan)
    assert located("zenodo:1/a.cwl#main", "http://none") == f"{web.address}/1/files/a.cwl?download=1#main"


def test_a_workflow_is_loaded_with_its_tools_as_one_that_nobody_trusts(web, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))  # where cwltool keeps what it fetched
    put(web, PLACE)
    plan = api.load_plan(f"{ID}:v1/2", settings=Settings(trs_root=web.address, home=tmp_path))

    assert {step.id for step in plan.steps} == {"beside", "above"}
    assert is_untrusted(plan)


def test_a_registry_that_is_busy_for_a_while_is_asked_again(web):
    put(web, PLACE)
    web.refusals += [503, 429]

    assert located(f"{ID}:v1/2", web.address) == f"{web.address}/{PLACE}/PLAIN_CWL/descriptor/main.cwl"
    assert len(web.reads(f"{PLACE}/CWL/files")) == 3
