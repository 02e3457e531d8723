"""Parts of documents that would never end, or take hours, are refused before anything is made of them."""

import contextlib
import os
import socket
import sys
from pathlib import Path

import pytest

from cwl_prefect.cwl.loading import texts
from cwl_prefect.cwl.loading.load import load_process, load_recorded
from cwl_prefect.cwl.loading.texts import check_tags
from cwl_prefect.errors import DocumentError
from tests.web_server import running_web_server

TOOL = "cwlVersion: v1.2\nclass: CommandLineTool\nbaseCommand: tool\noutputs: []\n"


def refusal(path: Path) -> str:
    with pytest.raises(DocumentError) as caught:
        load_process(str(path))
    return str(caught.value)


class TestImports:
    def test_a_document_that_imports_itself(self, write):
        path = write(f"{TOOL}inputs: []\nhints: {{$import: main.cwl}}\n")
        assert "main.cwl:6:18: main.cwl imports itself" in refusal(path)

    def test_two_files_that_import_each_other(self, write):
        write("[{$import: two.yml}]", "one.yml")
        write("[{$import: one.yml}]", "two.yml")
        path = write(f"{TOOL}inputs: []\nrequirements: {{SchemaDefRequirement: {{types: [{{$import: one.yml}}]}}}}\n")
        assert "two.yml:1:12: one.yml imports itself" in refusal(path)

    def test_the_tool_of_a_step_that_imports_itself(self, write):
        write(f"{TOOL}inputs: []\nhints: {{$import: tool.cwl}}\n", "tool.cwl")
        path = write(
            "cwlVersion: v1.2\nclass: Workflow\ninputs: []\noutputs: []\nsteps: {a: {run: tool.cwl, in: [], out: []}}\n"
        )
        assert "tool.cwl imports itself" in refusal(path)

    def test_a_process_of_a_graph_that_imports_itself(self, write):
        path = write(
            "cwlVersion: v1.2\n$graph:\n- {id: main, class: CommandLineTool, baseCommand: tool, inputs: [], "
            "outputs: [], hints: {$import: '#main'}}\n"
        )
        assert "#main imports itself" in refusal(path)

    def test_a_step_that_mixes_in_the_document_that_it_is_in(self, write):
        path = write(
            "cwlVersion: v1.2\n$graph:\n"
            "- {id: tool, class: CommandLineTool, baseCommand: tool, inputs: [], outputs: []}\n"
            "- {id: main, class: Workflow, inputs: [], outputs: [], steps: {a: {in: [], out: [], $mixin: '#tool'}}}\n"
        )
        assert "main.cwl:4:93: #tool imports itself" in refusal(path)

    @pytest.mark.parametrize(
        "key", [r'"\u0024import"', r'"\x24import"', r'"\U00000024import"', '? "$imp\\\n  ort"\n  '], ids=repr
    )
    def test_a_field_that_is_written_with_escapes(self, write, key):
        path = write(f"{TOOL}inputs: []\nhints:\n  {key}: main.cwl\n")
        assert "main.cwl imports itself" in refusal(path)

    def test_one_file_may_be_imported_twice(self, write):
        write("{name: t, type: record, fields: [{name: a, type: int}]}", "type.yml")
        path = write(
            f"{TOOL}inputs: {{a: 'type.yml#t'}}\n"
            "requirements: {SchemaDefRequirement: {types: [{$import: type.yml}]}}\n"
            "hints: {SchemaDefRequirement: {types: [{$import: type.yml}]}}\n"
        )
        (port,) = load_process(str(path)).tool["inputs"]
        assert port["type"].endswith("type.yml#t")


def rdf_xml(text: str, *, entities: str = "", literal: bool = False) -> str:
    """Return an ontology with one description that has one property."""
    kind = ' rdf:parseType="Literal"' if literal else ""
    return (
        f'<?xml version="1.0"?>\n<!DOCTYPE r:RDF [{entities}]>\n'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:x="http://x/">'
        f'<rdf:Description rdf:about="http://x/1"><x:p{kind}>{text}</x:p></rdf:Description></rdf:RDF>'
    )


ENTITIES = f"<!ENTITY a '{'a' * 60}'>" + "".join(
    f"<!ENTITY {name} '{f'&{of};' * 20}'>" for of, name in zip("abcde", "bcdef", strict=True)
)


class TestOntologies:
    @pytest.fixture
    def loaded(self, write, caplog):
        """Load a tool whose ontology has this text, and give what was told of it."""

        def loaded(text: str, name: str) -> str:
            write(text, name)
            load_process(str(write(f"{TOOL}$namespaces: {{x: 'http://x/'}}\n$schemas: [{name}]\ninputs: []\n")))
            return caplog.text

        return loaded

    @pytest.mark.parametrize(
        "text",
        [rdf_xml("&f;", entities=ENTITIES), rdf_xml("a\n" * 200_000), rdf_xml("<a/>" * 200_000, literal=True)],
        ids=["entities", "lines", "elements"],
    )
    def test_what_would_be_copied_over_and_over_is_left_out(self, loaded, text):
        told = loaded(text, "x.owl")
        assert "main.cwl:6: $schemas: " in told
        assert "x.owl: a text in it is too long, or its entities stand for too much" in told

    def test_one_with_entities_and_many_descriptions_is_read(self, loaded):
        own = rdf_xml("&a;", entities="<!ENTITY a 'b'>")
        begins, ends = own.index("<rdf:Description"), own.index("</rdf:RDF>")
        assert loaded(own[:begins] + own[begins:ends] * 2_000 + own[ends:], "x.owl") == ""

    @pytest.mark.parametrize(
        "text",
        [
            '{"@context": "http://127.0.0.1:9/c"}',
            '{"@context": [{"a": "http://x/"}, "c.jsonld"]}',
            '[{"a": {"\\u0040context": "http://127.0.0.1:9/c"}}]',
            '{"@context": {"@import": "http://127.0.0.1:9/c"}}',
            '{"@context": "http://127.0.0.1:9/c", "@context": {}}',
        ],
        ids=["whole", "one-of-several", "within-by-an-escape", "by-import", "given-twice"],
    )
    def test_no_context_is_fetched(self, loaded, text):
        assert "x.jsonld: it names a context of JSON-LD that lies elsewhere" in loaded(text, "x.jsonld")

    @pytest.mark.filterwarnings("ignore::DeprecationWarning:rdflib")
    def test_a_context_of_its_own_is_taken(self, loaded):
        assert loaded('{"@context": {"a": "http://x/a"}, "@id": "http://x/1", "a": 1}', "x.jsonld") == ""

    def test_one_that_is_not_there_is_told(self, write, caplog):
        load_process(str(write(f"{TOOL}$schemas: [none.owl]\ninputs: []\n")))
        assert "main.cwl:5: $schemas: " in caplog.text
        assert "none.owl is left out" in caplog.text
        assert "No such file" in caplog.text


class TestFiles:
    @pytest.mark.parametrize("field", ["$include", "$import"])
    @pytest.mark.parametrize("named", ["/dev/zero", "pipe"])
    def test_devices_and_pipes_are_not_read(self, write, tmp_path, field, named):
        os.mkfifo(tmp_path / "pipe")
        path = write(f"{TOOL}inputs: []\narguments: [{{{field}: {named}}}]\n")
        assert f"{named}: this is no file but a pipe, socket or device" in refusal(path)

    def test_a_device_is_no_document(self):
        assert "this is no file but a pipe, socket or device" in refusal(Path("/dev/zero"))

    def test_a_document_may_come_through_a_pipe(self, tmp_path):
        reader, writer = os.pipe()
        os.write(writer, f"{TOOL}inputs: []\n".encode())
        os.close(writer)
        try:
            assert load_process(f"/proc/self/fd/{reader}").tool["class"] == "CommandLineTool"
        finally:
            os.close(reader)

    def test_size_has_a_limit(self, write, monkeypatch):
        monkeypatch.setattr(texts, "LARGEST_TEXT", 1024 * 1024)
        path = write(f"{TOOL}inputs: []\ndoc: {'x' * 1024 * 1024}\n")
        assert "main.cwl: it is larger than a document may be, 1 MiB" in refusal(path)


INNER = r"leads into the network of this machine(?s:.*)CWL_PREFECT_ALLOW_URL"
WORKFLOW = "cwlVersion: v1.2\nclass: Workflow\ninputs: []\noutputs: []\nsteps: {s: {in: [], out: [], run: RUN}}\n"


class TestInnerAddresses:
    """A document of one host, and another host in the network of this machine."""

    @pytest.fixture
    def outer(self):
        with running_web_server("127.0.0.2") as server:
            yield server

    @pytest.fixture
    def inner(self, web):
        """A server that the world does not reach, with a tool and a requirement."""
        web.put("tool.cwl", f"{TOOL}inputs: []\n".encode())
        web.put("part", b"class: InlineJavascriptRequirement")
        return web

    @pytest.fixture(params=["$import", "$include", "run"])
    def text(self, request, inner):
        """A document that refers to the inner server."""
        return {
            "$import": f"{TOOL}inputs: []\nrequirements:\n- $import: {inner.address}/part\n",
            "$include": f"{TOOL}inputs: []\nrequirements:\n- class: InlineJavascriptRequirement\n  expressionLib:\n"
            f"  - $include: {inner.address}/part\n",
            "run": WORKFLOW.replace("RUN", f"'{inner.address}/tool.cwl'"),
        }[request.param]

    def test_a_document_of_the_web_names_none(self, outer, inner, text):
        with pytest.raises(DocumentError, match=rf"^{outer.address}/main.cwl:\d+: {inner.address}/\S+ {INNER}"):
            load_process(outer.put("main.cwl", text.encode()))
        assert inner.asked == []

    def test_a_document_that_is_not_trusted_names_none(self, write, inner, text):
        with pytest.raises(DocumentError, match=rf"main.cwl:\d+: {inner.address}/\S+ {INNER}"):
            load_recorded(str(write(text)), untrusted=True)
        assert inner.asked == []

    def test_a_setting_trusts_no_document_too(self, write, inner, text, monkeypatch):
        monkeypatch.setenv("CWL_PREFECT_UNTRUSTED", "1")
        with pytest.raises(DocumentError, match=INNER):
            load_process(str(write(text)))
        assert inner.asked == []

    def test_a_document_of_this_machine_names_any(self, write, inner, text):
        load_process(str(write(text)))
        assert inner.reads("part") or inner.reads("tool.cwl")

    def test_what_a_document_of_this_machine_runs_from_the_web_names_none(self, write, outer, inner, text):
        path = write(WORKFLOW.replace("RUN", outer.put("main.cwl", text.encode())))
        with pytest.raises(DocumentError, match=INNER):
            load_process(str(path))
        assert inner.asked == []

    def test_an_ontology_is_read_from_none(self, outer, inner):
        with contextlib.suppress(DocumentError):
            load_process(outer.put("main.cwl", f"{TOOL}inputs: []\n$schemas: ['{inner.address}/part']\n".encode()))
        assert inner.asked == []

    def test_redirections_lead_to_none(self, outer, inner):
        outer.redirections["tool.cwl"] = f"{inner.address}/tool.cwl"
        with pytest.raises(DocumentError, match=INNER):
            load_process(outer.put("main.cwl", WORKFLOW.replace("RUN", "tool.cwl").encode()))
        assert inner.asked == []

    def test_names_lead_to_none(self, outer, inner, monkeypatch):
        asked = socket.getaddrinfo

        def answer(host, *arguments, **options):
            return asked("127.0.0.1" if host == "data.example" else host, *arguments, **options)

        monkeypatch.setattr(socket, "getaddrinfo", answer)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1,127.0.0.2,data.example")
        url = inner.address.replace("127.0.0.1", "data.example")
        document = WORKFLOW.replace("RUN", f"'{url}/tool.cwl'").encode()
        with pytest.raises(DocumentError, match=INNER):
            load_process(outer.put("main.cwl", document))
        assert inner.asked == []
        monkeypatch.setenv("CWL_PREFECT_ALLOW_URL", f'["{url}/"]')
        assert load_process(outer.put("main.cwl", document)).steps

    def test_its_own_host_is_read_wherever_it_is(self, outer):
        outer.put("tools/tool.cwl", f"{TOOL}inputs: []\n".encode())
        assert load_process(outer.put("main.cwl", WORKFLOW.replace("RUN", "tools/tool.cwl").encode())).steps


def test_nesting_has_a_limit(write):
    assert "nested deeper than 100 levels" in refusal(write(f"{TOOL}inputs: []\ndoc: {'[' * 120}{']' * 120}\n"))


def test_the_time_of_many_inputs_does_not_grow_with_their_square(write):
    def operations(inputs: int) -> int:
        path = write(TOOL + "inputs:\n" + "".join(f"  in{number}: string?\n" for number in range(inputs)))
        count = 0

        def counted(frame: object, event: str, argument: object) -> None:
            nonlocal count
            count += event == "call"

        sys.setprofile(counted)
        try:
            load_process(str(path))
        finally:
            sys.setprofile(None)
        return count

    operations(1)
    assert operations(200) < 6 * operations(50)


@pytest.mark.parametrize("tag", ["!tool", "!!python/none", "!!str", "!<tag:example.org,2002:tool>"])
def test_a_tag_that_means_nothing_is_refused_with_its_place(tag):
    with pytest.raises(DocumentError, match=r"^/tool\.cwl:2:14: YAML's tag .*(tool|none|str)"):
        check_tags(f"cwlVersion: v1.2\nbaseCommand: {tag} 'true'\n", "file:///tool.cwl")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("'! not'", "! not"),
        ("'a !b'", "a !b"),
        ("! a", "a"),
        ("${return 1 && !inputs.a;}", "${return 1 && !inputs.a;}"),
    ],
)
def test_other_exclamation_marks_are_taken(write, written, meant):
    path = write(f"{TOOL}inputs: []\ndoc: {written}\n")
    assert load_process(str(path)).tool["doc"] == meant


def test_a_script_is_no_document(write):
    script = "!function () { var a = 1; }();"
    write(script, "script.js")
    requirement = "{class: InlineJavascriptRequirement, expressionLib: [{$include: script.js}]}"
    path = write(f"{TOOL}inputs: []\nrequirements: [{requirement}]\n")
    assert load_process(str(path)).requirements[0]["expressionLib"] == [script]
