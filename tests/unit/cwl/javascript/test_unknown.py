"""Expressions that read what is not known yet."""

import pytest

from cwl_prefect.cwl.javascript import engine
from cwl_prefect.cwl.javascript.engine import JavascriptError
from cwl_prefect.cwl.javascript.expressions import Scope, script_of
from cwl_prefect.cwl.javascript.unknown import Unknown, UnknownValueError

JAVASCRIPT = [{"class": "InlineJavascriptRequirement"}]


@pytest.fixture(autouse=True)
def _engine() -> None:
    engine.install(timeout_s=5, memory_mib=64)


def scope() -> Scope:
    return Scope(inputs={"a": 1, "b": Unknown("b")}, runtime={}, script=script_of(JAVASCRIPT))


@pytest.mark.parametrize(
    ("text", "value"), [("$(inputs.a)", 1), ("$(inputs.a + 1)", 2), ("${ var b = 3; return b; }", 3), ("b", "b")]
)
def test_what_reads_nothing_unknown_has_its_value(text, value):
    assert scope().evaluate(text) == value


@pytest.mark.parametrize(
    "text",
    ["$(inputs.b)", "$(inputs.b[0].size)", "x $(inputs.b) y", "$(inputs)", "$(inputs.b + 1)", "$(inputs['b'] + 1)"],
)
def test_what_reads_an_unknown_input_says_which(text):
    with pytest.raises(UnknownValueError) as told:
        scope().evaluate(text)
    assert told.value.port == "b"


@pytest.mark.parametrize("text", ["$(self)", "$(self[0].size)", "$(self.length + 1)"])
def test_self_may_be_unknown(text):
    with pytest.raises(UnknownValueError) as told:
        scope().evaluate(text, Unknown("reads"))
    assert told.value.port == "reads"


def test_an_expression_that_fails_otherwise_still_fails():
    with pytest.raises(JavascriptError, match="nothing"):
        scope().evaluate("$(nothing + 1)")
