import json
import os
from pathlib import Path

import pytest

from cwl_prefect.cwl.binding.inputs import parse_job_order, prepare_inputs, resolve_files, unknown_inputs
from cwl_prefect.cwl.javascript import engine
from cwl_prefect.errors import CwlPrefectError, InputError

BASE = "file:///home/me/"


@pytest.fixture(autouse=True)
def _engine():
    engine.install(timeout_s=5, memory_mib=64)


class TestParsing:
    @pytest.mark.parametrize(
        ("text", "order"),
        [
            pytest.param("n: 1\ns: text\n", {"n": 1, "s": "text"}, id="yaml"),
            pytest.param('{"n": 1, "s": "text"}', {"n": 1, "s": "text"}, id="json"),
            pytest.param("{n: 1, s: text}", {"n": 1, "s": "text"}, id="yaml-in-braces"),
            pytest.param("", {}, id="empty"),
            pytest.param("# only words\n", {}, id="only-a-comment"),
            pytest.param("a: &x [1]\nb: *x\n", {"a": [1], "b": [1]}, id="aliases"),
            pytest.param("d: 2020-01-01\n", {"d": "2020-01-01"}, id="a-date-is-a-text"),
            pytest.param("1: x\n", {"1": "x"}, id="a-number-as-key"),
            pytest.param("t: é ü 汉\n", {"t": "é ü 汉"}, id="any-letters"),
        ],
    )
    def test_it_may_be(self, text, order):
        assert parse_job_order(text, source="job.yml") == order

    @pytest.mark.parametrize("text", ["a: [1\n", '{"a": 1,,}', "a: 1\na: 2\n", "a: b: c\n", "\ta: 1\n"])
    def test_what_is_no_yaml_is_refused_with_its_place(self, text):
        with pytest.raises(InputError, match=r"job\.yml:\d+:\d+"):
            parse_job_order(text, source="job.yml")

    @pytest.mark.parametrize("text", ["a: \x01\n"])
    def test_control_characters_are_refused(self, text):
        with pytest.raises(InputError, match=r"job\.yml"):
            parse_job_order(text, source="job.yml")

    @pytest.mark.parametrize("text", ["[1, 2]", "text", "5"])
    def test_anything_but_a_mapping_is_refused(self, text):
        with pytest.raises(InputError, match=r"job\.yml"):
            parse_job_order(text, source="job.yml")


def resolved(value, namespaces=None):
    return resolve_files(value, BASE, namespaces or {})


class TestPaths:
    @pytest.mark.parametrize(
        ("path", "location"),
        [
            pytest.param("a.txt", "file:///home/me/a.txt", id="relative"),
            pytest.param("d/../a.txt", "file:///home/me/a.txt", id="with-dots"),
            pytest.param("/data/a.txt", "file:///data/a.txt", id="absolute"),
            pytest.param("a b.txt", "file:///home/me/a%20b.txt", id="with-a-space"),
            pytest.param("a#b?.txt", "file:///home/me/a%23b%3F.txt", id="with-a-hash"),
            pytest.param("100%.txt", "file:///home/me/100%25.txt", id="with-a-percent-sign"),
            pytest.param("é.txt", "file:///home/me/%C3%A9.txt", id="with-an-accent"),
            pytest.param("a\nb", "file:///home/me/a%0Ab", id="with-a-newline"),
            pytest.param("https://e.org/a?b#c", "https://e.org/a?b#c", id="a-url"),
            pytest.param("file:///data/a%20b", "file:///data/a%20b", id="a-file-url"),
        ],
    )
    def test_a_path_becomes_a_location(self, path, location):
        assert resolved({"class": "File", "path": path}) == {"class": "File", "location": location}

    @pytest.mark.parametrize(
        ("location", "absolute"),
        [
            ("a%20b.txt", "file:///home/me/a%20b.txt"),
            ("https://e.org/a", "https://e.org/a"),
            ("_:literal", "_:literal"),
        ],
        ids=["relative", "absolute", "of-a-literal"],
    )
    def test_a_location_becomes_absolute(self, location, absolute):
        assert resolved({"class": "File", "location": location})["location"] == absolute

    def test_directories_and_everything_within_are_found(self):
        value = [{"r": {"class": "Directory", "path": "d", "listing": [{"class": "File", "path": "d/a"}]}}]
        (found,) = resolved(value)
        assert found["r"]["location"] == "file:///home/me/d"
        assert found["r"]["listing"][0]["location"] == "file:///home/me/d/a"

    def test_secondary_files_are_found(self):
        value = {"class": "File", "path": "a", "secondaryFiles": [{"class": "File", "path": "a.idx"}]}
        assert resolved(value)["secondaryFiles"][0]["location"] == "file:///home/me/a.idx"

    def test_a_format_loses_its_prefix(self):
        value = {"class": "File", "path": "a", "format": "edam:format_1"}
        assert resolved(value, {"edam": "http://e.org/"})["format"] == "http://e.org/format_1"

    def test_other_values_stay_as_they_are(self):
        value = {"path": "a", "x": [1, None, True, {"class": "Other", "path": "b"}]}
        assert resolved(value) == value

    def test_the_given_value_is_not_changed(self):
        value = {"class": "File", "path": "a"}
        resolved(value)
        assert value == {"class": "File", "path": "a"}


@pytest.fixture
def prepare(compiled):
    """Prepare the job order of a workflow with the given inputs."""

    def prepare(declared: str, values: dict, *, outermost: bool = True, more: str = ""):
        plan = compiled(
            f"cwlVersion: v1.2\nclass: Workflow\n{more}\ninputs: {declared}\noutputs: {{}}\nsteps: []\n", "flow.cwl"
        )
        return prepare_inputs(plan, values, ontology=plan.ontology, outermost=outermost, name="flow")

    return prepare


def file(path: Path, text: str = "text", **more) -> dict:
    path.write_text(text)
    return {"class": "File", "location": path.as_uri(), **more}


def test_what_steers_the_run_is_no_unknown_input(compiled):
    plan = compiled("cwlVersion: v1.2\nclass: Workflow\ninputs: {message: string?}\noutputs: {}\nsteps: []\n")
    order = {"mesage": "hi", "other": 1, "cwl:requirements": [], "id": "me", "$namespaces": {}}
    assert unknown_inputs(plan, order) == {"mesage": " Did you mean 'message'?", "other": ""}


class TestPreparing:
    def test_defaults_are_filled_in(self, prepare):
        assert prepare("{a: {type: int, default: 3}, b: int}", {"b": 1}) == {"a": 3, "b": 1}

    def test_a_null_takes_the_default(self, prepare):
        assert prepare("{a: {type: int, default: 3}}", {"a": None}) == {"a": 3}

    def test_an_optional_input_is_null(self, prepare):
        assert prepare("{a: 'int?'}", {}) == {"a": None}

    def test_undeclared_values_are_dropped(self, prepare):
        assert prepare("{a: int}", {"a": 1, "z": 5, "cwl:tool": "x"}) == {"a": 1}

    @pytest.mark.parametrize(
        ("declared", "value"),
        [
            ("int", 5),
            ("long", 2**40),
            ("double", 1.5),
            ("boolean", False),
            ("string", "é"),
            ("'string[]'", ["a"]),
            ("{type: {type: enum, symbols: [red]}}", "red"),
            ("{type: {type: record, fields: {a: int, b: 'int?'}}}", {"a": 1, "b": None}),
            ("[int, string]", "x"),
            ("Any", {"a": [1]}),
        ],
        ids=["int", "long", "double", "boolean", "string", "array", "enum", "record", "union", "any"],
    )
    def test_a_value_of_its_type_passes(self, prepare, declared, value):
        assert prepare(f"{{x: {declared}}}", {"x": value})["x"] == value

    @pytest.mark.parametrize(
        ("declared", "value"),
        [
            ("int", "5"),
            ("int", 2**40),
            ("int", 1.5),
            ("boolean", "true"),
            ("string", 5),
            ("'string[]'", "a"),
            ("'string[]'", ["a", 1]),
            ("{type: {type: enum, symbols: [red]}}", "blue"),
            ("{type: {type: record, fields: {a: int}}}", {"a": "x"}),
            ("{type: {type: record, fields: {a: int}}}", {}),
            ("[int, string]", [1]),
            ("File", "a.txt"),
            ("File", {"class": "Directory", "basename": "d", "listing": []}),
        ],
    )
    def test_a_value_of_another_type_is_refused(self, prepare, declared, value):
        with pytest.raises(InputError, match=r"flow.*x"):
            prepare(f"{{x: {declared}}}", {"x": value})

    @pytest.mark.parametrize(
        ("value", "said"),
        [
            pytest.param("a.txt", 'expected File, found "a.txt"', id="a-text"),
            pytest.param({"path": "a.txt"}, "missing required field 'class'", id="without-its-class"),
        ],
    )
    def test_what_is_no_file_is_told_in_words_of_cwl(self, prepare, value, said):
        with pytest.raises(InputError, match=f"input x: {said}"):
            prepare("{x: File}", {"x": value})

    @pytest.mark.parametrize("given", [{}, {"a": None}], ids=["left-out", "null"])
    def test_missing_required_inputs_are_named(self, prepare, given):
        with pytest.raises(InputError, match=r"flow: .*a, b"):
            prepare("{a: int, b: string, c: 'int?'}", given)

    def test_files_gain_what_is_known_of_them(self, prepare, tmp_path):
        found = prepare("{f: File}", {"f": file(tmp_path / "a.tar.gz", "12345")})["f"]
        assert (found["basename"], found["nameroot"], found["nameext"]) == ("a.tar.gz", "a.tar", ".gz")

    def test_a_missing_file_is_named(self, prepare, tmp_path):
        given = {"class": "File", "location": (tmp_path / "gone file").as_uri()}
        with pytest.raises(InputError, match=r"input f: .*gone file"):
            prepare("{f: 'File[]'}", {"f": [given]})

    def test_a_directory_is_no_file(self, prepare, tmp_path):
        with pytest.raises(InputError, match=r"input f: .*there is a directory") as refused:
            prepare("{f: File}", {"f": {"class": "File", "location": tmp_path.as_uri()}})
        assert "class: Directory" in refused.value.hint

    def test_a_file_is_no_directory(self, prepare, tmp_path):
        given = file(tmp_path / "a") | {"class": "Directory"}
        with pytest.raises(InputError, match=r"input f: .*there is a file") as refused:
            prepare("{f: Directory}", {"f": given})
        assert "class: File" in refused.value.hint

    def test_a_pipe_is_neither(self, prepare, tmp_path):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(InputError, match=r"input f: .*neither a file nor a directory"):
            prepare("{f: File}", {"f": {"class": "File", "location": (tmp_path / "pipe").as_uri()}})

    def test_contents_are_loaded(self, prepare, tmp_path):
        found = prepare("{f: {type: File, loadContents: true}}", {"f": file(tmp_path / "a", "hi")})
        assert found["f"]["contents"] == "hi"

    def test_a_listing_is_loaded(self, prepare, tmp_path):
        (tmp_path / "d").mkdir()
        file(tmp_path / "d" / "a")
        given = {"class": "Directory", "location": (tmp_path / "d").as_uri()}
        found = prepare("{d: {type: Directory, loadListing: shallow_listing}}", {"d": given})
        assert [entry["basename"] for entry in found["d"]["listing"]] == ["a"]

    def test_the_given_values_are_not_changed(self, prepare, tmp_path):
        given = {"f": file(tmp_path / "a")}
        before = json.dumps(given)
        prepare("{f: {type: File, loadContents: true}}", given)
        assert json.dumps(given) == before

    @pytest.mark.parametrize("value", [float("nan"), [float("inf")]], ids=str)
    @pytest.mark.parametrize("declared", ["{n: Any}", "{n: [double, 'double[]']}"])
    def test_what_json_has_no_number_for_is_refused(self, prepare, declared, value):
        with pytest.raises(InputError, match=r"input n: (NaN|Infinity) is no number of JSON"):
            prepare(declared, {"n": value})

    def test_any_input_takes_another_kind_each_time(self, compiled):
        plan = compiled("cwlVersion: v1.2\nclass: Workflow\ninputs: {x: Any}\noutputs: {}\nsteps: []\n")
        for value in (1, "a", [1], {"a": 1}, "a"):
            found = prepare_inputs(plan, {"x": value}, ontology=(), outermost=True, name="flow")
            assert found == {"x": value}


@pytest.mark.parametrize(
    ("kind", "location"),
    [
        pytest.param("string", "https://user:secret@example.org/reads.bam?sig=secret", id="of-another-type"),
        pytest.param("File", "nothing://user:secret@example.org/reads.bam?sig=secret", id="that-nothing-reads"),
    ],
)
def test_what_is_wrong_with_a_url_is_told_without_what_it_is_signed_with(prepare, kind, location):
    with pytest.raises(InputError, match=r"reads\.bam") as told:
        prepare(f"{{reads: {kind}}}", {"reads": {"class": "File", "location": location}})
    assert "secret" not in str(told.value)


class TestSecondaryFiles:
    PATTERN = "{f: {type: File, secondaryFiles: [.bai, ^.txt?]}}"

    def test_those_beside_the_primary_are_found(self, prepare, tmp_path):
        file(tmp_path / "a.bam.bai")
        found = prepare(self.PATTERN, {"f": file(tmp_path / "a.bam")})["f"]
        assert [entry["basename"] for entry in found["secondaryFiles"]] == ["a.bam.bai"]

    def test_optional_ones_are_taken_where_they_are(self, prepare, tmp_path):
        file(tmp_path / "a.bam.bai")
        file(tmp_path / "a.txt")
        found = prepare(self.PATTERN, {"f": file(tmp_path / "a.bam")})["f"]
        assert {entry["basename"] for entry in found["secondaryFiles"]} == {"a.bam.bai", "a.txt"}

    def test_a_required_one_that_is_missing_is_named(self, prepare, tmp_path):
        with pytest.raises(CwlPrefectError, match=r"a\.bam\.bai"):
            prepare(self.PATTERN, {"f": file(tmp_path / "a.bam")})

    def test_a_subworkflow_looks_for_none(self, prepare, tmp_path):
        file(tmp_path / "a.bam.bai")
        with pytest.raises(CwlPrefectError, match=r"\.bai|secondary"):
            prepare(self.PATTERN, {"f": file(tmp_path / "a.bam")}, outermost=False)


class TestFormats:
    DECLARED = "{f: {type: File, format: 'ex:wanted'}}"
    MORE = "$namespaces: {ex: 'http://e.org/#'}"

    def test_the_same_format_passes(self, prepare, tmp_path):
        found = prepare(self.DECLARED, {"f": file(tmp_path / "a", format="http://e.org/#wanted")}, more=self.MORE)
        assert found["f"]["format"] == "http://e.org/#wanted"

    def test_the_document_s_prefixes_hold_in_job_orders(self, prepare, tmp_path):
        found = prepare(self.DECLARED, {"f": file(tmp_path / "a", format="ex:wanted")}, more=self.MORE)
        assert found["f"]["format"] == "http://e.org/#wanted"

    @pytest.mark.parametrize("about", [{"format": "http://e.org/#other"}, {}], ids=["another", "none"])
    def test_another_format_is_refused(self, prepare, tmp_path, about):
        with pytest.raises(CwlPrefectError, match="format"):
            prepare(self.DECLARED, {"f": file(tmp_path / "a", **about)}, more=self.MORE)

    def test_a_narrower_format_of_the_ontology_passes(self, prepare, write, tmp_path):
        sub = "http://www.w3.org/2000/01/rdf-schema#subClassOf"
        write(f"<http://e.org/#narrow> <{sub}> <http://e.org/#wanted> .\n", "o.ttl")
        more = f"{self.MORE}\n$schemas: [o.ttl]"
        narrow = file(tmp_path / "a", format="http://e.org/#narrow")
        assert prepare(self.DECLARED, {"f": narrow}, more=more)["f"]["format"] == "http://e.org/#narrow"
        with pytest.raises(CwlPrefectError, match="format"):
            prepare(self.DECLARED, {"f": narrow}, more=self.MORE)
