import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from cwl_prefect.cwl.loading.documents import bare_inputs, canonical_process, short_type
from cwl_prefect.cwl.values.plain import plain
from cwl_prefect.model.plan import requirement

TOOL = {
    "class": "CommandLineTool",
    "id": "file:///home/me/main.cwl",
    "cwlVersion": "v1.2",
    "label": "L",
    "requirements": [],
    "inputs": [{"id": "file:///home/me/main.cwl#x", "type": "file:///home/me/types.yml#pair"}],
    "outputs": [],
    "arguments": ["file:///home/me/main.cwl#x"],
}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def parsed(text: str):
    return YAML().load(text)


class TestPlain:
    @given(JSON)
    def test_json_stays_as_it_is(self, value):
        assert plain(value) == value

    def test_line_numbers_are_left_behind(self):
        found = plain(parsed("a: [1, {b: text}]\n"))
        assert found == {"a": [1, {"b": "text"}]}
        assert (type(found), type(found["a"]), type(found["a"][1])) == (dict, list, dict)

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("1.5", 1.5),
            ("1.0", 1.0),
            ("1e3", 1000),
            ("1.23e5", 123000),
            ("1.5e-3", 0.0015),
            ("0x1F", 31),
            ("true", True),
            ("null", None),
            ("'1'", "1"),
        ],
    )
    def test_scalars_lose_their_notation(self, text, value):
        found = plain(parsed(f"x: {text}\n"))["x"]
        assert found == value
        assert type(found) is type(value)

    def test_what_json_has_not_becomes_text(self):
        assert plain({1: b"x"}) == {"1": "b'x'"}


class TestShortTypes:
    @pytest.mark.parametrize(
        ("declared", "short"),
        [
            ("string", "string"),
            ("file:///a/main.cwl#pair", "pair"),
            (["null", "File"], ["null", "File"]),
            (
                {"type": "array", "items": "file:///a.cwl#pair", "inputBinding": {}},
                {"type": "array", "items": "pair"},
            ),
            (
                {"type": "enum", "name": "file:///a.cwl#x/e", "symbols": ["file:///a.cwl#x/e/red"]},
                {"type": "enum", "name": "e", "symbols": ["red"]},
            ),
            (
                {"type": "record", "fields": [{"name": "file:///a.cwl#x/f", "type": "int", "doc": "how many"}]},
                {"type": "record", "fields": [{"name": "f", "type": "int", "doc": "how many"}]},
            ),
        ],
        ids=["primitive", "named", "union", "array", "enum", "record"],
    )
    def test_names_are_short_and_bindings_gone(self, declared, short):
        assert short_type(declared) == short

    def test_what_a_requirement_names_stands_where_it_is_named(self):
        pair = {"name": "file:///a.cwl#pair", "type": "record", "fields": [{"name": "a.cwl#pair/x", "type": "int"}]}
        named = {pair["name"]: pair, "b.yml#other": {"name": "b.yml#other", "type": "enum", "symbols": ["b#other/y"]}}
        written = {"name": "pair", "type": "record", "fields": [{"name": "x", "type": "int"}]}
        declared = ["null", pair["name"], {"type": "array", "items": "b.yml#other"}]
        assert short_type(declared, named) == [
            "null",
            written,
            {"type": "array", "items": {"name": "other", "type": "enum", "symbols": ["y"]}},
        ]

    def test_a_type_that_contains_itself_stays_a_name_there(self):
        tree = {
            "name": "a#t",
            "type": "record",
            "fields": [{"name": "a#t/x", "type": {"type": "array", "items": "a#t"}}],
        }
        found = short_type("a#t", {"a#t": tree})
        assert found["fields"] == [{"name": "x", "type": {"type": "array", "items": "t"}}]

    def test_types_that_name_each_other_often_are_written_out_no_thousand_times(self):
        named = {
            f"a#{n}": {"name": f"a#{n}", "type": "record", "fields": [{"name": x, "type": f"a#{n + 1}"} for x in "xyz"]}
            for n in range(30)
        }
        assert len(str(short_type("a#0", named))) < 1_000_000


class TestProcesses:
    def test_identifiers_lose_their_directory(self):
        (entry,) = canonical_process(TOOL)["inputs"]
        assert entry == {"id": "main.cwl#x", "type": "types.yml#pair"}

    def test_other_texts_are_not_touched(self):
        assert canonical_process(TOOL)["arguments"] == ["file:///home/me/main.cwl#x"]

    def test_a_default_is_not_touched(self):
        default = {"id": "https://doi.org/10.5281/zenodo.4321", "items": [{"name": "file:///data/reads.fq"}]}
        inputs = [{"id": "file:///home/me/main.cwl#x", "type": "Any", "default": default}]
        for document in (canonical_process({**TOOL, "inputs": inputs}), bare_inputs({"inputs": inputs})):
            assert document["inputs"] == [{"id": "main.cwl#x", "type": "Any", "default": default}]

    def test_what_loading_made_of_a_name_in_a_default_loses_its_directory(self):
        entry = {"id": "file:///home/me/main.cwl#x", "default": {"id": "file:///home/me/main.cwl#x/foo"}}
        (found,) = canonical_process({**TOOL, "inputs": [entry]})["inputs"]
        assert found["default"] == {"id": "main.cwl#x/foo"}

    def test_names_of_the_language_are_not_touched(self):
        entry = {"class": "X", "type": "https://w3id.org/cwl/salad#Any"}
        assert canonical_process(entry) == entry

    def test_what_is_kept_beside_is_left_out(self):
        assert set(canonical_process(TOOL)) == {"class", "inputs", "outputs", "arguments"}

    def test_inputs_alone_make_an_expression_tool_without_outputs(self):
        found = bare_inputs(TOOL)
        assert (found["class"], found["outputs"], len(found["inputs"])) == ("ExpressionTool", [], 1)

    def test_bindings_can_be_left_to_the_tool(self):
        binding = {"inputBinding": {"loadContents": True}}
        process = {
            "inputs": [
                {
                    "id": "x",
                    "loadContents": True,
                    "loadListing": "deep_listing",
                    **binding,
                    "type": [{"type": "array", **binding, "items": {"type": "record", "fields": [{**binding}]}}],
                }
            ],
            "outputs": [],
        }
        assert bare_inputs(process, bindings=False)["inputs"] == [
            {"id": "x", "type": [{"type": "array", "items": {"type": "record", "fields": [{}]}}]}
        ]
        assert "inputBinding" in process["inputs"][0]


class TestStreams:
    def tool(self, name: str) -> dict:
        return {"inputs": [], "outputs": [{"outputBinding": {"glob": name}}], "stdout": name}

    def test_an_unnamed_stream_has_the_same_name_each_time(self):
        first, second = canonical_process(self.tool("a" * 40)), canonical_process(self.tool("b" * 40))
        assert first == second
        assert first["outputs"][0]["outputBinding"]["glob"] == first["stdout"]

    def test_stdout_and_stderr_stay_apart(self):
        tool = canonical_process({"inputs": [], "outputs": [], "stdout": "a" * 40, "stderr": "b" * 40})
        assert tool["stdout"] != tool["stderr"]

    def test_a_name_that_the_author_gave_is_kept(self):
        assert canonical_process(self.tool("out.txt"))["stdout"] == "out.txt"


class TestRequirements:
    @pytest.mark.parametrize(
        ("requirements", "hints", "found"),
        [
            ([], [], None),
            ([1, 2], [], 2),
            ([1], [2], 1),
            ([], [1, 2], 2),
        ],
        ids=["none", "the-last-one", "requirements-before-hints", "the-last-hint"],
    )
    def test_the_strongest_is_found(self, requirements, hints, found):
        def entries(values):
            return [{"class": "X", "value": value} for value in values] + [{"class": "Other"}]

        effective = requirement(entries(requirements), entries(hints), "X")
        assert (effective and effective["value"]) == found
