"""Faults that public reports of other runners tell of, each as a test of its kind."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cwl_prefect.cwl.binding.bind import Place
from cwl_prefect.cwl.javascript import engine as javascript
from cwl_prefect.errors import CwlPrefectError, ExpressionError, InputError, OutputError, StepError
from cwl_prefect.model.job import EntryKind

Bind = Callable[..., Any]

JAVASCRIPT = "requirements: {InlineJavascriptRequirement: {}}\n"


@pytest.fixture(autouse=True)
def _engine() -> None:
    javascript.install(timeout_s=5, memory_mib=64)


def tool(inputs: str, outputs: str = "{}", more: str = "") -> str:
    return f"{JAVASCRIPT}inputs: {inputs}\noutputs: {outputs}\nbaseCommand: tool\n{more}"


def literal(text: str = "hello", **more: Any) -> dict[str, Any]:
    return {"class": "File", "basename": "a.txt", "contents": text, **more}


class TestLiteralsAsOutputs:
    @pytest.mark.parametrize("containers", [False, True], ids=["process", "container"])
    @pytest.mark.parametrize("text", ["hello", ""], ids=["text", "empty"])
    def test_one_is_passed_on(self, bind: Bind, place: Place, containers: bool, text: str) -> None:
        document = tool("{f: File}", "{o: {type: File, outputBinding: {outputEval: $(inputs.f)}}}").replace(
            "InlineJavascriptRequirement: {}", "DockerRequirement: {dockerPull: x}"
        )
        bound = bind(document, {"f": literal(text)}, where=replace(place, containers=containers))
        found = bound.collect(place.outdir, 0)["o"]
        assert (found["contents"], found["basename"], found["size"]) == (text, "a.txt", len(text))
        assert "path" not in found

    def test_one_is_passed_on_as_a_secondary_file(self, bind: Bind, place: Place) -> None:
        document = tool("{f: File}", "{o: {type: File, outputBinding: {outputEval: $(inputs.f)}}}")
        given = literal(secondaryFiles=[literal("index", basename="a.txt.idx")])
        (beside,) = bind(document, {"f": given}).collect(place.outdir, 0)["o"]["secondaryFiles"]
        assert beside["contents"] == "index"

    def test_a_directory_literal_is_passed_on(self, bind: Bind, place: Place) -> None:
        document = tool("{d: Directory}", "{o: {type: Directory, outputBinding: {outputEval: $(inputs.d)}}}")
        given = {"class": "Directory", "basename": "d", "listing": [literal()]}
        found = bind(document, {"d": given}).collect(place.outdir, 0)["o"]
        assert [entry["contents"] for entry in found["listing"]] == ["hello"]

    def test_an_expression_makes_one(self, bind: Bind, place: Place) -> None:
        made = '\'${return {class: "File", basename: "b", contents: "made"};}\''
        document = tool("{}", f"{{o: {{type: File, outputBinding: {{outputEval: {made}}}}}}}")
        assert bind(document).collect(place.outdir, 0)["o"]["contents"] == "made"

    def test_an_input_is_passed_on_with_its_own_location(self, bind: Bind, place: Place, tmp_path: Path) -> None:
        (tmp_path / "a#b.txt").write_text("x")
        location = f"{tmp_path.as_uri()}/a%23b.txt"
        document = tool("{f: File}", "{o: {type: File, outputBinding: {outputEval: $(inputs.f)}}}")
        found = bind(document, {"f": {"class": "File", "location": location}}).collect(place.outdir, 0)["o"]
        assert (found["location"], found["size"]) == (location, 1)


class TestSecondaryFilesOfOutputs:
    @staticmethod
    def names(found: dict[str, Any]) -> list[str]:
        return [beside["basename"] for beside in found["secondaryFiles"]]

    @pytest.fixture
    def inputs(self, tmp_path: Path) -> dict[str, Any]:
        """A file with one beside it, and a directory with the like."""
        (tmp_path / "d").mkdir()
        for name in ("a.fa", "a.fa.idx", "d/i.fa", "d/i.fa.idx"):
            (tmp_path / name).write_text(name)
        beside = [{"class": "File", "location": (tmp_path / "a.fa.idx").as_uri()}]
        return {
            "f": {"class": "File", "location": (tmp_path / "a.fa").as_uri(), "secondaryFiles": beside},
            "d": {"class": "Directory", "location": (tmp_path / "d").as_uri()},
        }

    @pytest.mark.parametrize("containers", [False, True], ids=["process", "container"])
    @pytest.mark.parametrize(
        ("given", "names"),
        [
            ("$(inputs.f)", ["a.fa.idx"]),
            ("$({class: 'File', path: inputs.f.path})", ["a.fa.idx"]),
            ("$({class: 'File', path: inputs.d.path + '/i.fa'})", ["i.fa.idx"]),
        ],
        ids=["whole", "by-its-path", "of-a-directory"],
    )
    def test_an_input_that_is_passed_on_has_those_that_lie_beside_it_once(
        self, bind: Bind, place: Place, inputs: dict[str, Any], containers: bool, given: str, names: list[str]
    ) -> None:
        port = f'{{type: File, secondaryFiles: [.idx, .no?], outputBinding: {{outputEval: "{given}"}}}}'
        more = "hints: {DockerRequirement: {dockerPull: x}}\n"
        text = tool("{f: File, d: Directory}", f"{{o: {port}}}", more)
        found = bind(text, inputs, where=replace(place, containers=containers)).collect(place.outdir, 0)["o"]
        assert self.names(found) == names

    @pytest.mark.parametrize("containers", [False, True], ids=["process", "container"])
    def test_an_input_in_the_output_directory_has_what_the_tool_wrote_beside_it(
        self, bind: Bind, place: Place, inputs: dict[str, Any], tmp_path: Path, containers: bool
    ) -> None:
        (tmp_path / "g.fa").write_text("g")
        given = {**inputs, "f": {"class": "File", "location": (tmp_path / "g.fa").as_uri()}}
        more = "hints: {DockerRequirement: {dockerPull: x}}\n"
        text = tool(
            "{f: File, d: Directory}", "{o: {type: File, secondaryFiles: .idx, outputBinding: {glob: g.fa}}}", more
        )
        text = text.replace("{Inline", "{InitialWorkDirRequirement: {listing: [$(inputs.f)]}, Inline")
        bound = bind(text, given, where=replace(place, containers=containers))
        place.outdir.mkdir(exist_ok=True)
        (place.outdir / "g.fa").symlink_to(tmp_path / "g.fa")
        (place.outdir / "g.fa.idx").write_text("made")
        (beside,) = bound.collect(place.outdir, 0)["o"]["secondaryFiles"]
        assert beside["location"] == (place.outdir / "g.fa.idx").as_uri()

    def test_one_that_must_be_beside_an_input_and_is_not_is_named(
        self, bind: Bind, place: Place, inputs: dict[str, Any]
    ) -> None:
        port = (
            "{type: File, secondaryFiles: [{pattern: .no, required: true}], outputBinding: {outputEval: $(inputs.f)}}"
        )
        bound = bind(tool("{f: File, d: Directory}", f"{{o: {port}}}"), inputs)
        with pytest.raises(OutputError, match=r"Missing required secondary file a\.fa\.no of a\.fa"):
            bound.collect(place.outdir, 0)

    @pytest.mark.parametrize(
        "given",
        [
            "$({class: 'File', path: 'x.fa'})",
            "$({class: 'File', path: 'x.fa', secondaryFiles: [{class: 'File', path: 'x.fa.idx'}]})",
            "$({class: 'File', path: 'x.fa', secondaryFiles: [{class: 'File', location: 'x.fa.idx'}]})",
        ],
        ids=["by-its-pattern", "given-by-its-path", "given-by-its-location"],
    )
    def test_what_an_expression_makes_has_each_once(self, bind: Bind, place: Place, given: str) -> None:
        (place.outdir / "x.fa").write_text("x")
        (place.outdir / "x.fa.idx").write_text("x")
        port = f'{{type: File, secondaryFiles: [.idx], outputBinding: {{outputEval: "{given}"}}}}'
        assert self.names(bind(tool("{}", f"{{o: {port}}}")).collect(place.outdir, 0)["o"]) == ["x.fa.idx"]

    @pytest.mark.parametrize("required", [False, True], ids=["optional", "required"])
    def test_none_lies_outside_of_the_output_directory(self, bind: Bind, place: Place, required: bool) -> None:
        (place.outdir / "x.fa").write_text("x")
        asked = f"{{pattern: \"$('../../etc/passwd')\", required: {str(required).lower()}}}"
        bound = bind(tool("{}", f"{{o: {{type: File, secondaryFiles: [{asked}], outputBinding: {{glob: x.fa}}}}}}"))
        with pytest.raises(OutputError, match="outside the output directory"):
            bound.collect(place.outdir, 0)


class TestStagedTwice:
    def test_one_file_has_two_names(self, bind: Bind, place: Place, tmp_path: Path) -> None:
        (tmp_path / "a").write_text("x")
        listing = "[{entry: $(inputs.f), entryname: b}, {entry: $(inputs.f), entryname: c}]"
        text = tool("{f: File}").replace("{}}", f"{{}}, InitialWorkDirRequirement: {{listing: {listing}}}}}", 1)
        entries = bind(text, {"f": {"class": "File", "location": (tmp_path / "a").as_uri()}}).call.entries
        assert [entry.target for entry in entries] == [f"{place.outdir}/b", f"{place.outdir}/c"]

    def test_one_location_has_two_basenames(self, bind: Bind, tmp_path: Path) -> None:
        (tmp_path / "a").write_text("x")
        given = {"class": "File", "location": (tmp_path / "a").as_uri()}
        call = bind(
            tool("{f: {type: File, inputBinding: {}}, g: {type: File, inputBinding: {}}}"),
            {"f": {**given, "basename": "b"}, "g": {**given, "basename": "c"}},
        ).call
        assert [Path(word).name for word in call.command[1:]] == ["b", "c"]
        assert {Path(entry.target).name for entry in call.entries} == {"b", "c"}

    def test_a_file_is_in_a_directory_and_beside_it(self, bind: Bind, tmp_path: Path) -> None:
        (tmp_path / "d").mkdir()
        (tmp_path / "d" / "a").write_text("x")
        given = {
            "d": {"class": "Directory", "location": (tmp_path / "d").as_uri()},
            "f": {"class": "File", "location": (tmp_path / "d" / "a").as_uri()},
        }
        entries = bind(tool("{d: {type: Directory, loadListing: deep_listing}, f: File}"), given).call.entries
        assert [entry.kind for entry in entries] == [EntryKind.DIRECTORY, EntryKind.FILE]


class TestEmptyAndNested:
    @pytest.mark.parametrize("more", ["", ", itemSeparator: ','", ", separate: false"])
    def test_an_empty_array_adds_nothing(self, bind: Bind, more: str) -> None:
        text = tool(f"{{b: {{type: 'string[]', inputBinding: {{prefix: -b, valueFrom: $(self){more}}}}}}}")
        assert bind(text, {"b": []}).call.command == ("tool",)

    def test_an_expression_s_empty_array_adds_nothing(self, bind: Bind) -> None:
        text = tool("{}", more="arguments: [{prefix: -b, valueFrom: '$([])'}]\n")
        assert bind(text).call.command == ("tool",)

    @pytest.mark.parametrize(
        ("value", "words"),
        [("$([['x'], 'y'])", ["x", "y"]), ("$([true, false, 1e-7])", ["true", "false", "0.0000001"])],
        ids=["nested", "booleans-and-numbers"],
    )
    def test_an_expression_s_values_have_the_text_of_cwl(self, bind: Bind, value: str, words: list[str]) -> None:
        text = tool("{}", more=f'arguments: [{{valueFrom: "{value}"}}]\n')
        assert list(bind(text).call.command[1:]) == words


class TestUnions:
    A = "{type: record, name: A, fields: {x: {type: 'int?', inputBinding: {prefix: -a}}}}"
    B = A.replace("A,", "B,").replace("-a}}", "-b}}, y: {type: 'int?', inputBinding: {prefix: -y}}")

    @pytest.mark.parametrize(
        ("given", "words"),
        [({"x": 1, "y": 2}, ["-b", "1", "-y", "2"]), ({"x": 1}, ["-a", "1"]), ({"y": 2}, ["-y", "2"])],
        ids=["both", "shared-alone", "own-alone"],
    )
    def test_the_record_whose_fields_are_given_is_meant(
        self, bind: Bind, given: dict[str, int], words: list[str]
    ) -> None:
        assert list(bind(tool(f"{{r: {{type: [{self.A}, {self.B}]}}}}"), {"r": given}).call.command[1:]) == words


class TestUnnamedEnums:
    ENUM = "{type: enum, symbols: [x, y]}"

    @pytest.mark.parametrize(
        ("kind", "value", "words"),
        [
            (f"['null', {{type: array, items: {ENUM}}}]", ["x", "y"], ["x", "y"]),
            (f"['null', {ENUM}]", "y", ["y"]),
            (f"{{type: record, fields: {{e: {{type: ['null', {ENUM}], inputBinding: {{}}}}}}}}", {"e": "x"}, ["x"]),
            (f"['null', {{type: array, items: {{type: array, items: {ENUM}}}}}]", [["x"], ["y"]], ["x", "y"]),
        ],
        ids=["array", "alone", "in-a-record", "array-of-arrays"],
    )
    def test_one_may_stand_in_a_union(self, bind: Bind, kind: str, value: object, words: list[str]) -> None:
        command = bind(tool(f"{{v: {{type: {kind}, inputBinding: {{}}}}}}"), {"v": value}).call.command
        assert list(command[1:]) == words


class TestNoFiles:
    @pytest.mark.parametrize("version", ["v1.1", "v1.2"])
    @pytest.mark.parametrize("entry", ["$(inputs.fs)", "${return inputs.fs;}"])
    def test_an_entry_that_gives_no_files_places_nothing(self, bind: Bind, version: str, entry: str) -> None:
        listing = f'InitialWorkDirRequirement: {{listing: [{{entry: "{entry}", writable: true}}]}}'
        text = tool("{fs: 'File[]'}").replace("{}}", f"{{}}, {listing}}}", 1).replace("v1.2", version)
        assert bind(text, {"fs": []}).call.entries == ()


class TestContents:
    def test_a_binding_loads_the_contents_of_an_array(self, bind: Bind, tmp_path: Path) -> None:
        (tmp_path / "a").write_text("one")
        text = tool(
            "{f: {type: 'File[]', inputBinding: {loadContents: true}}}", more="arguments: ['$(inputs.f[0].contents)']\n"
        )
        given = {"class": "File", "location": (tmp_path / "a").as_uri()}
        assert bind(text, {"f": [given]}).call.command[1] == "one"


class TestRefusals:
    def test_a_text_without_a_name_is_refused(self, bind: Bind, tmp_path: Path) -> None:
        (tmp_path / "a").write_text("x")
        listing = 'InitialWorkDirRequirement: {listing: [{entry: "$(inputs.f)\\n"}]}'
        text = tool("{f: File}").replace("{}}", f"{{}}, {listing}}}", 1)
        with pytest.raises(StepError, match=r"listing\[0\]: entryname is missing") as raised:
            bind(text, {"f": {"class": "File", "location": (tmp_path / "a").as_uri()}})
        assert "one line" in str(raised.value)

    @pytest.mark.parametrize(
        ("asked", "told"),
        [
            ("{coresMin: 4, coresMax: 2}", "coresMax is 2, which is less than coresMin, 4"),
            ("{ramMin: -1}", "ramMin: expected a number that is not negative"),
            ("{coresMin: $('many')}", "coresMin: expected a number"),
            ("{coresMin: 1e400}", "coresMin: expected a finite number, found inf"),
            ("{ramMin: .inf}", "ramMin: expected a finite number, found inf"),
            ("{outdirMin: .nan}", "outdirMin: expected a finite number, found nan"),
        ],
    )
    def test_resources_that_cannot_be_are_refused(self, bind: Bind, asked: str, told: str) -> None:
        text = tool("{}").replace("{}}", f"{{}}, ResourceRequirement: {asked}}}", 1)
        with pytest.raises(CwlPrefectError, match=told):
            bind(text)

    @pytest.mark.parametrize(
        ("expression", "told"),
        [
            pytest.param(r"${return {a: '\ud800'};}", "holds half of a character", id="half-a-character"),
            pytest.param(
                "${var v = 1; for (var i = 0; i < 101; i++) v = [v]; return v;}", "deeper than 100", id="deep"
            ),
        ],
    )
    def test_what_an_expression_gives_must_be_of_use(
        self, bind: Bind, place: Place, expression: str, told: str
    ) -> None:
        evaluated = json.dumps({"o": {"type": "Any", "outputBinding": {"outputEval": expression}}})
        bound = bind(tool("{}", evaluated))
        with pytest.raises(ExpressionError, match=told):
            bound.collect(place.outdir, 0)

    def test_names_that_are_no_text_pass_through_expressions(self, bind: Bind, place: Place) -> None:
        Path(os.fsdecode(os.fsencode(place.outdir) + b"/\xff.txt")).touch()
        bound = bind(tool("{}", "{o: {type: File, outputBinding: {glob: '*', outputEval: '${return self[0];}'}}}"))
        assert bound.collect(place.outdir, 0)["o"]["basename"] == "\udcff.txt"

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            pytest.param(r'{"o": "\ud800"}', "holds half of a character", id="half-a-character"),
            pytest.param('{"o": %s}' % ("[" * 101 + "]" * 101), "deeper than 100", id="deep"),
            pytest.param(
                '{"a": 1, "o": [{"x": NaN}]}', "output o: cwl.output.json: NaN is no number of JSON", id="nan"
            ),
            pytest.param('{"o": -Infinity}', "output o: cwl.output.json: -Infinity is no number", id="infinity"),
            pytest.param('{"o": 1e400}', "output o: cwl.output.json: Infinity is no number", id="too-large"),
            pytest.param('{"o": %s}' % ("[" * 9999 + "]" * 9999), "deeper than 100", id="deeper-than-the-parser"),
        ],
    )
    def test_what_a_tool_writes_must_be_of_use(self, bind: Bind, place: Place, content: str, told: str) -> None:
        bound = bind(tool("{}", "{o: Any}"))
        (place.outdir / "cwl.output.json").write_text(content)
        with pytest.raises(OutputError, match=told):
            bound.collect(place.outdir, 0)

    @pytest.mark.parametrize("expression", ["$(0/0)", "$(1/0)", "$([-1/0][0])"])
    def test_an_expression_gives_null_for_what_json_has_no_number_for(
        self, bind: Bind, place: Place, expression: str
    ) -> None:
        outputs = json.dumps({"o": {"type": "double?", "outputBinding": {"outputEval": expression}}})
        assert bind(tool("{}", outputs)).collect(place.outdir, 0) == {"o": None}

    @pytest.mark.parametrize(
        ("value", "told"),
        [(True, "expected int, found true"), (2**31, "expected int, which has 32 bits"), (1.5, "int")],
    )
    def test_what_is_no_int_is_refused(self, bind: Bind, value: object, told: str) -> None:
        with pytest.raises(InputError, match=f"input n: .*{told}"):
            bind(tool("{n: int}"), {"n": value})

    @pytest.mark.parametrize(
        "made",
        [
            '{class: "File", location: "file:///etc/hostname"}',
            '{class: "File", path: "/etc/hostname"}',
            '{class: "Directory", basename: "d", listing: [{class: "File", location: "file:///etc/hostname"}]}',
        ],
    )
    def test_an_expression_cannot_stage_what_no_input_names(self, bind: Bind, made: str) -> None:
        listing = f"InitialWorkDirRequirement: {{listing: ['${{return {made};}}']}}"
        with pytest.raises(StepError, match="is none that an input names"):
            bind(tool("{}").replace("{}}", f"{{}}, {listing}}}", 1))

    def test_stdin_that_is_a_file_is_told(self, bind: Bind, tmp_path: Path) -> None:
        (tmp_path / "a").write_text("x")
        given = {"class": "File", "location": (tmp_path / "a").as_uri()}
        with pytest.raises(StepError, match="stdin must be the path of a file") as raised:
            bind(tool("{f: File}", more="stdin: $(inputs.f)\n"), {"f": given})
        assert "$(inputs.f.path)" in str(raised.value)


def test_thousands_of_items_are_bound(bind: Bind) -> None:
    text = tool("{x: {type: 'string[]', inputBinding: {prefix: -x}}}")
    assert len(bind(text, {"x": ["v"] * 20_000}).call.command) == 20_002
