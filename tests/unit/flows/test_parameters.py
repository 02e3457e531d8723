import inspect
from pathlib import Path

import pytest
from prefect import Flow
from prefect.exceptions import ParameterTypeError
from prefect.utilities.schema_tools import validate as validate_by_schema
from pydantic import BaseModel, TypeAdapter

from cwl_prefect.errors import InputError
from cwl_prefect.flows.parameters import docstring, job_order, openapi_schema, parameter_names, signature
from cwl_prefect.model.plan import InputPort, OutputPort, WorkflowPlan
from tests.plans import workflow

FILES = {"type": "array", "items": "File"}
PAIR = {
    "type": "record",
    "name": "pair",
    "fields": [
        {"name": "left-end", "type": "File", "label": "Left", "doc": "forward\nreads"},
        {"name": "depth", "type": ["null", "int"]},
    ],
}
COLOURS = {"type": "enum", "symbols": ["red", "light blue"]}


def plan(*inputs: InputPort, **said: str | None) -> WorkflowPlan:
    return workflow(name="align all", inputs=inputs, **said)


def one(cwl_type, **about) -> WorkflowPlan:
    return plan(InputPort(id="x", type=cwl_type, **about))


def flow_of(given: WorkflowPlan) -> Flow:
    async def body(**parameters):
        return parameters

    body.__signature__ = signature(given)
    body.__annotations__ = {name: found.annotation for name, found in signature(given).parameters.items()}
    body.__doc__ = docstring(given)
    return Flow(body, name="body")


def order_of(cwl_type, value, **about):
    return job_order(one(cwl_type, **about), {"x": value})["x"]


def local(name: str) -> str:
    return (Path.cwd() / name).as_uri()


class TestNames:
    @pytest.mark.parametrize(
        ("identifier", "name"),
        [
            pytest.param("reads", "reads", id="identifier-stays"),
            pytest.param("größe", "größe", id="letters-of-any-language-stay"),
            pytest.param("min-depth", "min_depth", id="hyphen"),
            pytest.param("a.b c", "a_b_c", id="dot-and-space"),
            pytest.param("class", "class_", id="keyword"),
            pytest.param("1st", "input_1st", id="leading-digit"),
            pytest.param("_hidden", "hidden", id="leading-underscore"),
            pytest.param("---", "input", id="no-letter-at-all"),
            pytest.param("self", "self_", id="self"),
            pytest.param("cls", "cls_", id="cls"),
            pytest.param("wait_for", "wait_for_", id="wait-for-is-prefects"),
            pytest.param("return_state", "return_state_", id="return-state-is-prefects"),
            pytest.param("model_config", "model_config_", id="model-config-is-pydantics"),
            pytest.param("json", "json_", id="json-is-pydantics"),
        ],
    )
    def test_name(self, identifier, name):
        assert parameter_names(plan(InputPort(id=identifier, type="int"))) == {identifier: name}

    def test_an_id_that_needs_no_change_keeps_its_name(self):
        ids = ("a-b", "a.b", "a_b", "a_b_2")
        names = parameter_names(plan(*(InputPort(id=identifier, type="int") for identifier in ids)))
        assert names == {"a-b": "a_b_3", "a.b": "a_b_4", "a_b": "a_b", "a_b_2": "a_b_2"}


class TestSignature:
    def test_required_inputs_have_no_default(self):
        found = signature(plan(InputPort(id="a", type="int"), InputPort(id="b", type=["null", "int"])))
        assert found.parameters["a"].default is inspect.Parameter.empty
        assert found.parameters["b"].default is None
        assert all(each.kind is inspect.Parameter.KEYWORD_ONLY for each in found.parameters.values())

    @pytest.mark.parametrize(
        ("cwl_type", "good", "bad"),
        [
            pytest.param("string", ["a", ""], [1, None, ["a"]], id="string"),
            pytest.param("int", [3, -1], ["three", 2.5, None], id="int"),
            pytest.param("long", [2**53], ["many"], id="long"),
            pytest.param("boolean", [True, False], ["perhaps", None], id="boolean"),
            pytest.param("double", [1, 2.5], ["much", None], id="double"),
            pytest.param(["null", "int"], [None, 3], ["three"], id="optional"),
            pytest.param(COLOURS, ["red", "light blue"], ["blue", 1], id="enum"),
            pytest.param(["null", COLOURS], [None, "red"], ["blue"], id="optional-enum"),
            pytest.param({"type": "array", "items": "string"}, [[], ["a"]], ["a", [1]], id="array"),
            pytest.param("File", ["a", Path("a"), {"class": "File", "path": "a"}], [1, {"path": "a"}, None], id="file"),
            pytest.param("Directory", ["a", {"class": "Directory", "listing": []}], [1, []], id="directory"),
            pytest.param(FILES, [["a", {"class": "File", "contents": "x"}]], ["a", [1]], id="files"),
            pytest.param(PAIR, [{"left-end": "a"}], [{"depth": 1}, {"left-end": 1}], id="record"),
            pytest.param("Any", [1, "a", [1], {"a": None}, None], [], id="any"),
            pytest.param(["int", "string", FILES], [1, "a", ["a"]], [{"a": 1}, [1]], id="union"),
            pytest.param({"type": "array", "items": ["null", "double"]}, [[1, None, 2.5]], [["a"]], id="gaps"),
            pytest.param("null", [None], [1], id="null"),
            pytest.param("string[]?", [None, ["a"]], ["a"], id="short-form"),
            pytest.param({"type": "array", "items": FILES}, [[["a"], []]], [["a"]], id="nested-array"),
        ],
    )
    def test_values(self, cwl_type, good, bad):
        adapter = TypeAdapter(signature(one(cwl_type)).parameters["x"].annotation)
        for value in good:
            adapter.validate_python(value)
        for value in bad:
            with pytest.raises(ValueError, match="validation error"):
                adapter.validate_python(value)

    def test_whole_numbers_stay_whole_where_fractions_are_allowed(self):
        adapter = TypeAdapter(signature(one("double")).parameters["x"].annotation)
        assert type(adapter.validate_python(3)) is int

    def test_null_stands_for_the_default(self):
        adapter = TypeAdapter(signature(one("int", default=4)).parameters["x"].annotation)
        assert adapter.validate_python(None) is None


class TestDocstring:
    def test_it_tells_what_each_input_is_for(self):
        given = plan(
            InputPort(id="a-b", type="int", doc="How\n  many: at most"),
            InputPort(id="c", type="int", label="Label"),
            InputPort(id="d", type=["null", FILES]),
            label="Align",
            doc="Aligns.\n\nReturns:\n  nothing",
        )
        assert docstring(given) == (
            "Align\n\nAligns.\n\nReturns\n  nothing\n\nArgs:\n    a_b: How many: at most\n    c: Label\n    d: File[]?"
        )

    def test_no_inputs(self):
        assert docstring(plan()) == "align all"

    def test_it_tells_what_each_output_is(self):
        outputs = (OutputPort(id="o", type="File", doc="What\ncame out"), OutputPort(id="n", type=["null", "int"]))
        given = docstring(workflow(name="align", outputs=outputs))
        assert given == "align\n\nReturns:\n    o: What came out\n    n: int?"


class TestJobOrder:
    @pytest.mark.parametrize(
        ("cwl_type", "value", "expected"),
        [
            pytest.param("int", 3, 3, id="int"),
            pytest.param("File", "a b.fq", {"class": "File", "location": local("a b.fq")}, id="file-as-text"),
            pytest.param("File", Path("/d/a"), {"class": "File", "location": "file:///d/a"}, id="file-as-path"),
            pytest.param("File", "zenodo:1/a", {"class": "File", "location": "zenodo:1/a"}, id="file-of-zenodo"),
            pytest.param("File", "s3://d/a", {"class": "File", "location": "s3://d/a"}, id="file-as-url"),
            pytest.param(
                "File",
                {"class": "File", "path": "a", "secondaryFiles": [{"class": "File", "path": "b"}]},
                {
                    "class": "File",
                    "location": local("a"),
                    "secondaryFiles": [{"class": "File", "location": local("b")}],
                },
                id="file-object",
            ),
            pytest.param("Directory", "/d", {"class": "Directory", "location": "file:///d"}, id="directory"),
            pytest.param(["File", "string"], "a", "a", id="text-stays-text-where-it-may"),
            pytest.param(["File", "string"], Path("/a"), {"class": "File", "location": "file:///a"}, id="path-is-file"),
            pytest.param("string", Path("a"), "a", id="path-as-string"),
            pytest.param(["null", FILES], ("/a",), [{"class": "File", "location": "file:///a"}], id="tuple"),
            pytest.param(
                PAIR,
                {"left-end": "/a", "depth": 2},
                {"left-end": {"class": "File", "location": "file:///a"}, "depth": 2},
                id="record",
            ),
            pytest.param("Any", {"a": (1, Path("b"))}, {"a": [1, "b"]}, id="any"),
        ],
    )
    def test_value(self, cwl_type, value, expected):
        assert order_of(cwl_type, value) == expected

    def test_models_and_enums_become_plain(self):
        from enum import Enum

        class Colour(Enum):
            RED = "red"

        class Pair(BaseModel):
            depth: int
            skipped: str | None = None

        assert order_of(COLOURS, Colour.RED) == "red"
        assert order_of("Any", Pair(depth=1)) == {"depth": 1}

    def test_ids_come_back(self):
        assert job_order(plan(InputPort(id="a-b", type="int")), {"a_b": 1}) == {"a-b": 1}

    def test_null_and_defaults_are_left_to_the_workflow(self):
        assert job_order(one("int", default=4), {"x": 4}) == {}
        assert job_order(one(["null", "int"]), {"x": None}) == {}
        assert job_order(one("int", default=4), {"x": 5}) == {"x": 5}

    def test_an_unknown_parameter_is_refused(self):
        with pytest.raises(InputError, match="no input 'y'"):
            job_order(one("int"), {"y": 1})


class TestDeploymentForm:
    def test_inputs_have_titles_descriptions_and_places(self):
        schema = openapi_schema(
            plan(InputPort(id="a-b", type="int", label="A", doc="Doc"), InputPort(id="c", type=COLOURS))
        )
        found = schema["properties"]["a_b"]
        assert (found["type"], found["title"], found["description"], found["position"]) == (
            "integer",
            "A",
            "Doc (int)",
            0,
        )
        assert schema["properties"]["c"]["enum"] == ["red", "light blue"]
        assert schema["required"] == ["a_b", "c"]

    def test_a_file_is_a_text_or_an_object(self):
        choices = openapi_schema(one("File"))["properties"]["x"]["anyOf"]
        assert choices == [{"type": "string", "title": "Path or URL"}, {"$ref": "#/definitions/File"}]

    def test_an_optional_file_is_one_flat_choice(self):
        choices = openapi_schema(one(["null", "File"]))["properties"]["x"]["anyOf"]
        assert [sorted(choice) for choice in choices] == [["title", "type"], ["$ref"], ["type"]]

    def test_a_default_is_shown_in_a_plain_field(self):
        found = openapi_schema(one("int", default=4))
        assert (found["properties"]["x"]["type"], found["properties"]["x"]["default"]) == ("integer", 4)
        assert found["required"] == []

    @pytest.mark.parametrize(
        ("about", "shown"),
        [
            pytest.param({"type": "int"}, "int", id="type-alone"),
            pytest.param({"type": "int", "label": "A"}, "int", id="label-is-the-title"),
            pytest.param({"type": ["null", "int"], "doc": "How\nmany"}, "How many (int)", id="optional"),
            pytest.param({"type": FILES, "format": ("edam:1930",)}, "File[] edam:1930", id="format"),
            pytest.param({"type": ["null", PAIR]}, "pair", id="record-by-its-name"),
            pytest.param({"type": COLOURS}, "enum", id="enum"),
        ],
    )
    def test_each_field_says_what_it_takes(self, about, shown):
        found = openapi_schema(plan(InputPort(id="x", **about)))["properties"]["x"]
        assert found["description"] == shown

    def test_records_are_cards_with_their_fields_in_their_authors_order(self):
        said = {"label": "Both ends", "doc": "As they\nwere read"}
        schema = openapi_schema(one({**PAIR, **said, "fields": PAIR["fields"][::-1]}))
        assert schema["properties"]["x"]["$ref"] == "#/definitions/pair"
        found = schema["definitions"]["pair"]
        assert (found["title"], found["description"]) == ("Both ends", "As they were read")
        assert [(name, field["position"]) for name, field in found["properties"].items()] == [
            ("depth", 0),
            ("left-end", 1),
        ]
        assert found["properties"]["left-end"]["title"] == "Left"
        assert found["properties"]["left-end"]["description"] == "forward reads (File)"
        assert found["required"] == ["left-end"]

    def test_a_record_that_is_named_several_times_is_defined_once(self):
        several = [PAIR, ["null", PAIR], {"type": "array", "items": PAIR}]
        schema = openapi_schema(plan(*(InputPort(id=f"x{n}", type=each) for n, each in enumerate(several))))
        assert sorted(schema["definitions"]) == ["File", "pair"]
        assert schema["properties"]["x2"]["items"] == {"$ref": "#/definitions/pair"}

    @pytest.mark.parametrize(
        ("cwl_type", "good", "wrong"),
        [
            pytest.param(COLOURS, "red", "purple", id="enum"),
            pytest.param(["null", COLOURS], None, "purple", id="enum-or-null"),
            pytest.param({"type": "array", "items": COLOURS}, ["red"], ["red", "purple"], id="array-of-enums"),
            pytest.param(
                {"type": "record", "name": "r", "fields": [{"name": "c", "type": COLOURS}]},
                {"c": "red"},
                {"c": "purple"},
                id="field",
            ),
            pytest.param(["int", COLOURS], 3, "purple", id="union"),
        ],
    )
    def test_prefect_refuses_what_no_enum_has(self, cwl_type, good, wrong):
        schema = openapi_schema(one(cwl_type))
        assert validate_by_schema({"x": good}, schema) == []
        assert validate_by_schema({"x": wrong}, schema)

    def test_prefect_validates_parameters_by_it(self):
        schema = openapi_schema(plan(InputPort(id="reads", type=FILES), InputPort(id="pair", type=["null", PAIR])))
        good = {"reads": ["a", {"class": "File", "location": "s3://b"}], "pair": {"left-end": "c"}}
        assert validate_by_schema(good, schema) == []
        assert validate_by_schema({"reads": [1]}, schema)
        assert validate_by_schema({}, schema)

    @pytest.mark.parametrize(
        ("cwl_type", "most"), [("int", 2**31 - 1), ("long", 2**63 - 1), (["null", "int"], 2**31 - 1)]
    )
    def test_an_integer_has_the_bounds_of_its_type(self, cwl_type, most):
        schema = openapi_schema(one(cwl_type))
        for good in (most, -most - 1):
            assert validate_by_schema({"x": good}, schema) == []
        for wrong in (most + 1, -most - 2):
            assert validate_by_schema({"x": wrong}, schema)

    def test_a_parameter_that_is_no_input_is_refused_by_its_name(self):
        (refused,) = validate_by_schema({"x": 1, "zz": 2}, openapi_schema(one("int")))
        assert "'zz' was unexpected" in refused.message


class TestWithPrefect:
    def test_the_flow_has_the_inputs_as_parameters(self):
        given = plan(
            InputPort(id="min-depth", type="int", doc="Least depth: reads"),
            InputPort(id="colour", type=COLOURS, default="red"),
            InputPort(id="json", type=["null", PAIR]),
        )
        schema = flow_of(given).parameters.model_dump()
        assert list(schema["properties"]) == ["min_depth", "colour", "json_"]
        assert schema["properties"]["min_depth"]["description"] == "Least depth: reads"
        assert schema["required"] == ["min_depth"]
        assert schema["definitions"]["pair"]["required"] == ["left-end"]

    def test_it_checks_and_keeps_parameters(self):
        flow = flow_of(plan(InputPort(id="n", type="double"), InputPort(id="reads", type=FILES)))
        file = {"class": "File", "location": "s3://b", "x:own": 1}
        assert flow.validate_parameters({"n": 3, "reads": [Path("a"), file]}) == {"n": 3, "reads": ["a", file]}
        with pytest.raises(ParameterTypeError, match="reads"):
            flow.validate_parameters({"n": 3, "reads": "a"})
