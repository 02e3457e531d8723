"""Parameter references are followed without JavaScript."""

import subprocess

import pytest

from cwl_prefect.cwl.javascript import engine
from cwl_prefect.cwl.javascript.engine import JavascriptError
from cwl_prefect.cwl.javascript.expressions import Scope, Script

INPUTS = {"a": {"b c": [1, {"d": "x"}], "it's": 2, 'q"': 3}, "n": None, "long name": 5, "ü": 6}


@pytest.fixture(autouse=True)
def _nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_installed", None)
    monkeypatch.setattr(subprocess, "Popen", None)


def evaluated(text: str, own: object = None) -> object:
    return Scope(inputs=INPUTS, runtime={"cores": 2}, script=Script(library=None)).evaluate(text, own)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$(inputs.a['b c'][1].d)", "x"),
        ('$(inputs.a["b c"][0])', 1),
        ("$(inputs.a['it\\'s'])", 2),
        ('$(inputs.a["q\\""])', 3),
        ("$(inputs['long name'])", 5),
        ("$(inputs.ü)", 6),
        ("$(inputs.a['b c'].length)", 2),
        ("$(inputs.n)", None),
        ("$(null)", None),
        ("$(runtime.cores) of $(inputs.a['b c'])", '2 of [1, {"d": "x"}]'),
        ("  $(inputs.a['b c'][0])\n", 1),
        ("plain", "plain"),
        (5, 5),
    ],
)
def test_it_is_followed(text: object, value: object) -> None:
    assert Scope(inputs=INPUTS, runtime={"cores": 2}, script=Script(library=None)).evaluate(text) == value


def test_self_is_what_belongs_to_the_field() -> None:
    assert evaluated("$(self[0].path)", [{"path": "/a"}]) == "/a"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("$(inputs.z)", r"inputs has no 'z'; it has a, n, long name, ü"),
        ("$(inputs.a['b c'][7])", r"inputs\.a\['b c'\] has 2 items, so that there is none of number 7"),
        ("$(inputs.n.x)", r"inputs\.n is null, so that it has no 'x'"),
        ("$(input.a)", r"input is unknown here"),
        ("$(inputs.a.length)", r"inputs\.a has no 'length'"),
        ("$(1 + 1)", r"\$\(1 \+ 1\) is JavaScript, which InlineJavascriptRequirement does not allow here"),
        ("${\n  return 1;\n}", r"^\$\{ return 1; \} is JavaScript"),
    ],
)
def test_what_does_not_exist_is_told(text: str, told: str) -> None:
    with pytest.raises(JavascriptError, match=told):
        evaluated(text)
