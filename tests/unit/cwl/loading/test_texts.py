"""Parts of documents that would never end, or take hours, are refused before anything is made of them."""

import os
import sys
from pathlib import Path

import pytest

from cwl_prefect.cwl.loading import texts
from cwl_prefect.cwl.loading.load import load_process
from cwl_prefect.cwl.loading.texts import check_tags
from cwl_prefect.errors import DocumentError

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
