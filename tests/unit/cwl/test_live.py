import math
import pickle
import subprocess
import sys

import cwltool.process
import pytest
from cwltool.errors import UnsupportedRequirement, WorkflowException
from schema_salad.ref_resolver import Loader
from schema_salad.schema import get_metaschema, make_avro, make_avro_schema, make_valid_avro

from cwl_prefect.cwl.live import LiveTools, argument_text, call_errors
from cwl_prefect.errors import CwlPrefectError, ExpressionError, InputError, StepError, UnsupportedError

DESCRIPTIONS = {"doc", "docAfter", "docChild", "docParent", "jsonldPredicate"}
UNTOUCHED = {
    "SCHEMA_ANY": None,
    "SCHEMA_FILE": None,
    "SCHEMA_DIR": None,
    "make_avro_schema": make_avro_schema,
    "make_valid_avro": make_valid_avro,
}
ECHO = "inputs: {x: {type: Any, inputBinding: {}}}\noutputs: {}\nbaseCommand: echo\n"


class TestArguments:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (1, "1"),
            (1.5, "1.5"),
            (1e300, "1" + "0" * 300),
            (1e-7, "0.0000001"),
            (1.25e-8, "0.0000000125"),
            (-1.5e20, "-150000000000000000000"),
            (True, "True"),
            ("a b", "a b"),
            ({"class": "File", "path": "/in/a"}, "/in/a"),
            ({"class": "Directory", "path": "/in"}, "/in"),
        ],
    )
    def test_a_value_is_written_without_scientific_notation(self, value, text):
        assert argument_text(value) == text

    @pytest.mark.parametrize("value", [math.inf, math.nan])
    def test_what_is_no_number_is_written_as_python_does(self, value):
        assert argument_text(value) == repr(value)

    def test_a_file_without_a_path_is_refused(self):
        with pytest.raises(WorkflowException, match="File object without a path"):
            argument_text({"class": "File", "location": "_:1"})


class TestLiveTools:
    def test_a_tool_is_made_once(self, tool):
        tools, plan = LiveTools(), tool(ECHO)
        assert tools.get(plan) is tools.get(plan)

    def test_a_plan_made_live_does_not_change(self, tool):
        plan = tool(ECHO)
        before = pickle.dumps(plan)
        LiveTools().get(plan)
        assert pickle.dumps(plan) == before


class TestBaseTypes:
    """The types that every tool knows are given to cwltool, which would load two schemas for them."""

    @pytest.fixture
    def given(self, tool, monkeypatch):
        """What cwltool has in its places, as it never loaded anything, once a tool was made live."""
        plan = tool(ECHO)
        for name, value in UNTOUCHED.items():
            monkeypatch.setattr(cwltool.process, name, value)
        LiveTools().get(plan)
        return cwltool.process

    def test_they_are_those_of_the_schema(self, given):
        preset = make_avro([given.SCHEMA_FILE, given.SCHEMA_DIR, given.SCHEMA_ANY], Loader({}))
        loaded = given.get_schema("v1.0")[3].idx
        whole = [loaded[f"https://w3id.org/cwl/{name}"] for name in ("cwl#File", "cwl#Directory", "salad#Any")]
        assert preset == without_descriptions(make_avro(whole, Loader({})))

    def test_their_words_are_those_of_the_language_of_schemas(self, given):
        words = get_metaschema()[2].vocab
        assert given.make_valid_avro.keywords == {"vocab": words}
        assert given.make_avro_schema.keywords == {"metaschema_vocab": words}

    def test_a_process_that_makes_a_tool_live_loads_no_schema(self, tool, tmp_path):
        plan = tmp_path / "tool.pickle"
        plan.write_bytes(pickle.dumps(tool(ECHO)))
        code = (
            "import pickle, sys, schema_salad.schema as schema, cwltool.process as process\n"
            "from cwl_prefect.cwl.live import LiveTools\n"
            "LiveTools().get(pickle.load(open(sys.argv[1], 'rb')))\n"
            "assert schema.cached_metaschema is None and not process.SCHEMA_CACHE"
        )
        subprocess.run([sys.executable, "-c", code, plan], check=True)


def without_descriptions(value):
    """Leave out what no value is checked by."""
    if isinstance(value, list):
        return [without_descriptions(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: without_descriptions(item) for key, item in value.items() if key not in DESCRIPTIONS}


class TestErrors:
    @pytest.mark.parametrize(
        ("raised", "translated"),
        [
            pytest.param(WorkflowException("wrong"), StepError, id="workflow"),
            pytest.param(WorkflowException("Expression evaluation error:\nx"), ExpressionError, id="expression"),
            pytest.param(UnsupportedRequirement("no"), UnsupportedError, id="unsupported"),
            pytest.param(ValueError("bad"), StepError, id="value"),
            pytest.param(KeyError("k"), StepError, id="key"),
            pytest.param(TypeError(), StepError, id="type"),
            pytest.param(RecursionError(), StepError, id="recursion"),
            pytest.param(InputError("ours"), InputError, id="ours"),
        ],
    )
    def test_a_foreign_error_becomes_ours(self, raised, translated):
        with pytest.raises(CwlPrefectError) as found, call_errors("align[3]"):
            raise raised
        assert type(found.value) is translated
        assert str(found.value)

    def test_a_programming_error_stays_what_it_is(self):
        with pytest.raises(ZeroDivisionError), call_errors("align[3]"):
            _ = 1 // 0

    def test_the_call_is_named(self):
        with pytest.raises(StepError, match=r"^align\[3\]: wrong$") as found, call_errors("align[3]"):
            raise WorkflowException("plan:1:1: wrong")
        assert found.value.step == "align[3]"
