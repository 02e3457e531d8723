from pathlib import Path

import pytest

from cwl_prefect.cwl.binding.evaluate import holds, step_values
from cwl_prefect.cwl.javascript import engine
from cwl_prefect.errors import CwlPrefectError, ExpressionError, InputError
from cwl_prefect.model.plan import Link

JAVASCRIPT = ({"class": "InlineJavascriptRequirement"},)


@pytest.fixture(autouse=True)
def _engine():
    engine.install(timeout_s=5, memory_mib=64)


def values(links, given, *, requirements=JAVASCRIPT, **more):
    return step_values(links, given, requirements=requirements, name="align", **more)


def true(condition, given=None, *, requirements=JAVASCRIPT):
    return holds(condition, given or {}, requirements=requirements, name="align[1]")


def file(path: Path, text: str) -> dict:
    path.write_text(text)
    return {"class": "File", "location": path.as_uri()}


class TestValueFrom:
    def test_without_any_values_stay_as_they_are(self):
        given = {"x": [1, {"a": None}], "y": None}
        assert values([Link(port="x"), Link(port="y")], given) == given

    def test_self_is_the_port_s_own_value(self):
        assert values([Link(port="x", value_from="$(self + 1)")], {"x": 1}) == {"x": 2}

    def test_a_port_without_a_source_has_a_null_self(self):
        assert values([Link(port="x", value_from="$(self === null)")], {"x": None}) == {"x": True}

    def test_every_expression_sees_the_values_before_any_of_them(self):
        links = [Link(port="x", value_from="$(inputs.y)"), Link(port="y", value_from="$(inputs.x)")]
        assert values(links, {"x": 1, "y": 2}) == {"x": 2, "y": 1}

    def test_a_text_is_taken_as_it_is(self):
        assert values([Link(port="x", value_from="plain")], {"x": 1}, requirements=()) == {"x": "plain"}

    def test_a_parameter_reference_needs_no_javascript(self):
        link = Link(port="x", value_from="$(inputs.y.a[1])")
        assert values([link], {"x": None, "y": {"a": [1, 2]}}, requirements=())["x"] == 2

    def test_a_library_can_be_used(self):
        requirements = ({"class": "InlineJavascriptRequirement", "expressionLib": ["function f(x) {return x * 3;}"]},)
        assert values([Link(port="x", value_from="$(f(self))")], {"x": 2}, requirements=requirements) == {"x": 6}

    def test_a_loop_s_expressions_see_the_values_of_its_iteration(self):
        link = Link(port="x", value_from="$(inputs.x + self)")
        assert values([link], {"x": 10}, seen={"x": 1}) == {"x": 11}

    def test_the_given_values_are_not_changed(self):
        given = {"x": {"a": 1}}
        values([Link(port="x", value_from="${self.a = 2; inputs.x.a = 3; return self;}")], given)
        assert given == {"x": {"a": 1}}

    def test_a_directory_is_listed_for_its_expression(self, tmp_path):
        (tmp_path / "below").mkdir()
        (tmp_path / "below" / "a.txt").touch()
        given = {"x": [{"class": "Directory", "location": tmp_path.as_uri()}]}
        link = Link(port="x", value_from="$(self[0].listing[0].listing[0].basename)")
        assert values([link], given) == {"x": "a.txt"}
        assert "listing" not in given["x"][0]

    @pytest.mark.parametrize(
        ("listing", "found"),
        [("shallow_listing", [1, None]), ("deep_listing", [1, 1]), ("no_listing", [None, None]), (None, [None, None])],
    )
    def test_a_directory_is_listed_for_other_expressions_where_the_link_says_so(self, tmp_path, listing, found):
        (tmp_path / "below").mkdir()
        (tmp_path / "below" / "a.txt").touch()
        given = {"d": {"class": "Directory", "location": tmp_path.as_uri()}, "n": None}
        count = "(d => d && d.listing ? d.listing.length : null)"
        expression = f"$([{count}(inputs.d), {count}((inputs.d.listing || [])[0])])"
        listed = values([Link(port="d", load_listing=listing), Link(port="n", value_from=expression)], given)
        assert listed["n"] == found
        assert ("listing" in listed["d"]) == (found[0] is not None)
        assert "listing" not in given["d"]

    def test_an_expression_that_throws_names_the_step(self):
        with pytest.raises(ExpressionError, match=r"align.*no luck") as found:
            values([Link(port="x", value_from='${throw "no luck";}')], {"x": 1})
        assert found.value.step == "align"


class TestLoadContents:
    LINK = Link(port="f", load_contents=True, value_from="$(self.contents)")

    def test_a_file_s_text_is_loaded(self, tmp_path):
        assert values([self.LINK], {"f": file(tmp_path / "a", "hello")}) == {"f": "hello"}

    def test_files_of_an_array_are_loaded(self, tmp_path):
        link = Link(port="f", load_contents=True)
        found = values([link], {"f": [file(tmp_path / "a", "1"), None, file(tmp_path / "b", "2")]})["f"]
        assert [item and item["contents"] for item in found] == ["1", None, "2"]

    def test_null_stays_null(self):
        assert values([Link(port="f", load_contents=True)], {"f": None}) == {"f": None}

    def test_a_literal_keeps_its_text(self):
        literal = {"class": "File", "basename": "a", "contents": "hi"}
        assert values([Link(port="f", load_contents=True)], {"f": literal}) == {"f": literal}

    def test_a_large_file_is_refused(self, tmp_path):
        with pytest.raises(CwlPrefectError, match="align"):
            values([self.LINK], {"f": file(tmp_path / "a", "x" * (64 * 1024 + 1))})

    def test_a_missing_file_names_the_step(self, tmp_path):
        with pytest.raises(InputError, match=r"align.*gone"):
            values([self.LINK], {"f": {"class": "File", "location": (tmp_path / "gone").as_uri()}})


class TestWhen:
    @pytest.mark.parametrize(("condition", "expected"), [("$(inputs.n > 0)", True), ("$(inputs.n > 1)", False)])
    def test_it_decides(self, condition, expected):
        assert true(condition, {"n": 1}) is expected

    def test_a_parameter_reference_will_do(self):
        assert true("$(inputs.flag)", {"flag": True}, requirements=()) is True

    @pytest.mark.parametrize("condition", ["$(1)", "$(null)", "$('true')", "$([])", "true"])
    def test_anything_but_true_and_false_is_refused(self, condition):
        with pytest.raises(ExpressionError, match=r"align\[1\]: when: expected true or false") as found:
            true(condition)
        assert found.value.step == "align[1]"

    def test_one_that_throws_is_named(self):
        with pytest.raises(ExpressionError, match=r"align\[1\]"):
            true("$(nothing.here)")

    def test_javascript_that_nobody_asked_for_is_refused(self):
        with pytest.raises(CwlPrefectError, match=r"align\[1\]"):
            true("$(inputs.n > 0)", {"n": 1}, requirements=())
