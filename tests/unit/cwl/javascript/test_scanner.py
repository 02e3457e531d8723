"""Expressions are found where they begin and end, whatever their JavaScript is made of."""

import pytest
from cwl_utils.expression import scanner as scan_of_cwl_utils
from hypothesis import given
from hypothesis import strategies as st

from cwl_prefect.cwl.javascript import engine
from cwl_prefect.cwl.javascript.engine import JavascriptError
from cwl_prefect.cwl.javascript.expressions import Scope, Script
from cwl_prefect.cwl.javascript.scanner import Expression, has_javascript, scan


@pytest.fixture(autouse=True)
def _engine() -> None:
    engine.install(timeout_s=5, memory_mib=64)


def parts(text: str, *, old_escapes: bool = False) -> list[str]:
    found = scan(text, old_escapes=old_escapes)
    return [f"<{part.source}>" if isinstance(part, Expression) else part for part in found]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("plain", ["plain"]),
        ("", [""]),
        ("$(inputs.a)", ["<(inputs.a)>"]),
        ("a $(b) c ${d} e", ["a ", "<(b)>", " c ", "<{d}>", " e"]),
        ("$(a)$(b)", ["<(a)>", "<(b)>"]),
        ("$$(a)", ["$", "<(a)>"]),
        ("$5 and $", ["$5 and $"]),
        ("$(f((1), [2], {x: 3}))", ["<(f((1), [2], {x: 3}))>"]),
    ],
)
def test_a_text_has_parts(text: str, found: list[str]) -> None:
    assert parts(text) == found


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("{ // it's one quote\n return 1; }", id="quote-in-a-line-comment"),
        pytest.param("{ return 1; // }\n }", id="brace-in-a-line-comment"),
        pytest.param("{ /* } ' \" */ return 1; }", id="brace-and-quotes-in-a-comment"),
        pytest.param("(1 /* ) */)", id="parenthesis-in-a-comment"),
        pytest.param("{ return 'a\"}'.replace(/['\"]/g, '') == 'a}' ? 1 : 0; }", id="quotes-in-a-regular-expression"),
        pytest.param("{ return /[/}]/.test('}') ? 1 : 0; }", id="slash-in-a-class"),
        pytest.param("{ return /\\/}/.test('/}') ? 1 : 0; }", id="escaped-slash"),
        pytest.param("(4 / 2 / 2)", id="division"),
        pytest.param("([4][0] / 4 + '/'.length - 1)", id="division-after-a-bracket"),
        pytest.param("{ var a = 4, b = 4; return a / b; }", id="division-of-names"),
        pytest.param("{ return `}`.length; }", id="brace-in-a-template"),
        pytest.param("(`${ {a: '}'}.a }`.length)", id="substitution-with-braces"),
        pytest.param("(`${`${1}`}`.length)", id="template-in-a-template"),
        pytest.param("(`it's \\` $`.length - 7)", id="quote-and-backtick-in-a-template"),
        pytest.param("('\\')'.length - 1)", id="escaped-quote"),
        pytest.param('("\'".length)', id="quote-in-quotes"),
        pytest.param("{ var s = 'x'; if (s) { return 1; } }", id="blocks"),
        pytest.param("{ if (true) {} /'/.test('a'); return 1; }", id="regular-expression-after-a-block"),
    ],
)
def test_an_expression_ends_at_its_own_bracket(source: str) -> None:
    assert parts(f"a ${source} b") == ["a ", f"<{source}>", " b"]
    assert Scope(inputs={}, runtime={}, script=Script(library=())).evaluate(f"${source}") == 1


@pytest.mark.parametrize("text", ["$(", "a ${ return ')'; ", "$(a]", "$('a)", "${ /* }"])
def test_one_without_an_end_is_told(text: str) -> None:
    with pytest.raises(JavascriptError, match="has no end"):
        scan(text)


@pytest.mark.parametrize(
    ("text", "since_v1_2", "before"),
    [
        (r"\$(a)", "$(a)", "$(a)"),
        (r"\${a}", "${a}", "${a}"),
        (r"\\$(a)", "\\<(a)>", "\\<(a)>"),
        (r"\n$(a)", r"\n<(a)>", "n<(a)>"),
        (r"\\\$(a)", r"\$(a)", r"\$(a)"),
        ("$(a)\\", "<(a)>\\", "<(a)>\\"),
    ],
)
def test_backslashes_mean_what_the_version_says(text: str, since_v1_2: str, before: str) -> None:
    assert "".join(parts(text)) == since_v1_2
    assert "".join(parts(text, old_escapes=True)) == before


@given(st.lists(st.sampled_from(["$(", "${", ")", "}", "'", '"', "a", " ", "(", "{", "$", "x.y"]), max_size=12))
def test_where_cwl_utils_finds_an_expression_so_is_one_here(pieces: list[str]) -> None:
    text = "".join(pieces)
    try:
        found = scan_of_cwl_utils(text)
        ours = scan(text)
    except Exception:  # noqa: BLE001 - brackets that do not match are refused here, and quotes without an end by both
        return
    first = next((part for part in ours if isinstance(part, Expression)), None)
    assert (None if found is None else text[found[0] + 1 : found[1]]) == (None if first is None else first.source)


@pytest.mark.parametrize(
    ("value", "javascript"),
    [
        ("$(inputs.a['b c'][0])", False),
        ("$(inputs.a + 1)", True),
        ("${return 1;}", True),
        ({"x": ["plain", "$(self.length)"]}, False),
        ({"x": ["$(f(1))"]}, True),
    ],
)
def test_javascript_is_told_from_references(value: object, javascript: bool) -> None:
    assert has_javascript(value) is javascript
