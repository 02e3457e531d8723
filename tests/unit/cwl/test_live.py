import math
import pickle

import pytest
from cwltool.errors import UnsupportedRequirement, WorkflowException

from cwl_prefect.cwl.live import LiveTools, argument_text, call_errors
from cwl_prefect.errors import CwlPrefectError, ExpressionError, InputError, StepError, UnsupportedError

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
