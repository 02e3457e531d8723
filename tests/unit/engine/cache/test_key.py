"""The key of a call changes with whatever can change its result, and with nothing else."""

import copy
import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cwl_prefect.engine.cache.checksums import LARGE, Checksums
from cwl_prefect.engine.cache.fingerprint import Fingerprints, NotReusableError, canonical
from cwl_prefect.engine.cache.key import call_key, effective_inputs, for_people, narrowed, seen
from cwl_prefect.model.cache import RESOURCES, CallKey, Read, ToolIdentity

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
).filter(lambda value: not _has_class(value))


def _has_class(value: object) -> bool:
    if isinstance(value, list):
        return any(map(_has_class, value))
    return isinstance(value, dict) and ("class" in value or any(map(_has_class, value.values())))


def identity(**changed) -> ToolIdentity:
    base = {
        "parts": {"command": ["cat"]},
        "requirements": {},
        "defaults": {},
        "ports": ("x", "y"),
    }
    return ToolIdentity(**(base | changed))


def key(values: dict, *, of: ToolIdentity | None = None, runner: dict | None = None, **more) -> str:
    found = call_key(
        of or identity(), values, runner or {"image": "sha256:1"}, Fingerprints(checksums=Checksums(None), **more)
    )
    assert found is not None
    return found.digest


def seen_in(values: dict, port: str | None, field: str) -> dict:
    return seen([Read(port=port, field=field, expression="$(it)")], effective_inputs(identity(), values), None)


def file(path: Path, content: str = "content", **more) -> dict:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return {"class": "File", "location": path.as_uri(), "basename": path.name, **more}


def shuffled(value, order: random.Random):
    if isinstance(value, dict):
        items = list(value.items())
        order.shuffle(items)
        return {name: shuffled(item, order) for name, item in items}
    return [shuffled(item, order) for item in value] if isinstance(value, list) else value


@given(VALUES, VALUES, st.randoms(use_true_random=False))
def test_the_order_of_mapping_keys_does_not_count(first, second, order):
    values = {"x": first, "y": second}
    assert key(values) == key(shuffled(values, order))


@given(VALUES, VALUES)
def test_the_order_of_mapping_keys_counts_where_it_can_be_seen(first, second):
    seeing = identity(ordered=True)
    assert (key({"x": first}, of=seeing) == key({"x": second}, of=seeing)) == (json.dumps(first) == json.dumps(second))


@given(st.dictionaries(st.text(max_size=5), st.integers(), min_size=2, max_size=3))
def test_another_order_is_another_key_where_it_can_be_seen(record):
    seeing, turned = identity(ordered=True), dict(reversed(record.items()))
    assert key({"x": [{"r": record}]}, of=seeing) != key({"x": [{"r": turned}]}, of=seeing)
    assert key({"x": [{"r": record}]}) == key({"x": [{"r": turned}]})


def test_the_order_of_inputs_and_of_the_fields_of_files_never_counts(tmp_path: Path):
    seeing, found = identity(ordered=True), file(tmp_path / "x.txt")
    turned = dict(reversed(found.items()))
    assert key({"x": found, "y": 1}, of=seeing) == key({"y": 1, "x": turned}, of=seeing)


@given(VALUES, VALUES)
def test_different_values_have_different_keys_and_equal_ones_the_same(first, second):
    assert (key({"x": first}) == key({"x": second})) == (canonical(first) == canonical(second))


@given(VALUES.filter(lambda value: value is not None))
def test_a_value_of_another_input_counts(value):
    assert key({"x": value}) != key({"y": value})


@given(VALUES.filter(lambda value: value is not None))
def test_a_default_counts_as_if_it_were_given(value):
    with_default = identity(defaults={"x": value})
    assert key({}, of=with_default) == key({"x": value}, of=with_default) == key({"x": value, "y": None})


@given(
    st.dictionaries(st.text(max_size=5), VALUES, max_size=3), st.dictionaries(st.text(max_size=5), VALUES, max_size=3)
)
def test_tool_and_requirements_count(first, second):
    same = canonical(first) == canonical(second)
    assert (key({}, of=identity(parts=first)) == key({}, of=identity(parts=second))) == same
    assert (key({}, of=identity(requirements=first)) == key({}, of=identity(requirements=second))) == same


def test_the_image_counts_and_its_name_does_not():
    assert key({}, runner={"image": "sha256:1"}) != key({}, runner={"image": "sha256:2"})
    assert key({}, runner={"image": "sha256:1", "name": "a:1"}) == key({}, runner={"image": "sha256:1", "name": "a:2"})


def test_inputs_that_a_tool_does_not_declare_do_not_count():
    assert key({"x": 1, "extra": 2}) == key({"x": 1})


class TestFiles:
    def test_the_place_of_a_file_does_not_count(self, tmp_path: Path):
        here, there = file(tmp_path / "a" / "x.txt"), file(tmp_path / "b" / "x.txt")
        assert key({"x": here}) == key({"x": there})

    @pytest.mark.parametrize(
        "other",
        [
            lambda d: file(d / "x.txt", "CONTENT"),
            lambda d: file(d / "x.txt", "longer content"),
            lambda d: file(d / "y.txt"),
            lambda d: file(d / "x.txt") | {"basename": "z.txt"},
            lambda d: file(d / "x.txt", secondaryFiles=[file(d / "x.idx")]),
            lambda d: file(d / "x.txt", custom="metadata"),
            lambda d: _executable(file(d / "x.txt")),
            lambda d: {"class": "Directory", "location": d.parent.as_uri(), "basename": "x.txt"},
        ],
        ids=["content", "size", "name", "basename", "secondary file", "metadata", "executable", "directory"],
    )
    def test_what_a_tool_may_see_of_a_file_counts(self, tmp_path: Path, other):
        assert key({"x": file(tmp_path / "a" / "x.txt")}) != key({"x": other(tmp_path / "b")})

    @pytest.mark.parametrize("field", ["format", "checksum", "size", "contents", "location"])
    def test_a_field_counts_only_where_an_expression_reads_it(self, tmp_path: Path, field: str):
        plain = file(tmp_path / "x.txt")
        marked = {**plain, field: plain["location"] if field == "location" else "something"}
        if field == "location":
            plain = file(tmp_path / "elsewhere" / "x.txt")
        assert key({"x": plain}) == key({"x": marked})
        assert seen_in({"x": plain}, "x", field) != seen_in({"x": marked}, "x", field)
        assert seen_in({"x": plain}, "y", field) == seen_in({"x": marked}, "y", field)
        assert seen_in({"x": plain}, None, field) != seen_in({"x": marked}, None, field)

    def test_which_fields_there_are_counts_where_an_expression_lists_them(self, tmp_path: Path):
        plain = file(tmp_path / "x.txt")
        assert seen_in({"x": plain}, "x", "*") != seen_in({"x": {**plain, "size": 7}}, "x", "*")

    def test_where_a_directory_lies_counts_for_what_is_inside(self, tmp_path: Path):
        """A listing that is loaded later has locations too, which no value names yet."""
        here, there = ({"class": "Directory", "location": (tmp_path / name).as_uri()} for name in "ab")
        assert seen_in({"x": [here]}, "x", "location") != seen_in({"x": [there]}, "x", "location")

    def test_formats_count_where_they_are_checked(self, tmp_path: Path):
        plain = file(tmp_path / "x.txt")
        checked = identity(formats=True)
        assert key({"x": plain}, of=checked) != key({"x": {**plain, "format": "urn:fasta"}}, of=checked)

    def test_a_checksum_that_a_job_order_claims_is_not_believed(self, tmp_path: Path):
        first = file(tmp_path / "a" / "x.txt", "one", checksum="sha1$same")
        second = file(tmp_path / "b" / "x.txt", "two", checksum="sha1$same")
        assert key({"x": first}) != key({"x": second})

    def test_a_literal_counts_by_content_and_not_by_its_random_name(self):
        def literal(number: int, text: str) -> dict:
            return {"class": "File", "location": f"_:{number}", "basename": str(number), "contents": text}

        assert key({"x": literal(1, "a")}) == key({"x": literal(2, "a")}) != key({"x": literal(1, "b")})

    def test_a_default_file_counts_by_content(self, tmp_path: Path):
        default = identity(defaults={"x": file(tmp_path / "script.py", "one")})
        before = key({}, of=default)
        (tmp_path / "script.py").write_text("two")
        assert key({}, of=default) != before

    def test_a_file_in_a_requirement_counts_by_content(self, tmp_path: Path):
        listing = {"listing": [{"entry": file(tmp_path / "script.py", "one")}]}
        staged = identity(requirements={"InitialWorkDirRequirement": listing})
        before = key({}, of=staged)
        (tmp_path / "script.py").write_text("two")
        assert key({}, of=staged) != before

    def test_by_metadata_the_time_counts_instead_of_the_content(self, tmp_path: Path):
        value = file(tmp_path / "x.txt")
        checksums = Checksums(None)
        before = call_key(identity(), {"x": value}, {}, Fingerprints(checksums=checksums, by_metadata=True))
        assert checksums.bytes_read == 0
        (tmp_path / "x.txt").touch()
        after = call_key(identity(), {"x": value}, {}, Fingerprints(checksums=checksums, by_metadata=True))
        assert before is not None
        assert after is not None
        assert before.digest != after.digest

    def test_a_large_file_is_read_by_somebody_else(self, tmp_path: Path):
        value = file(tmp_path / "x.txt", "x" * LARGE)
        checksums = Checksums(None)
        fingerprints = Fingerprints(checksums=checksums)
        assert call_key(identity(), {"x": value}, {}, fingerprints) is None
        assert fingerprints.unread == [tmp_path / "x.txt"]
        checksums.compute(tmp_path / "x.txt")
        assert call_key(identity(), {"x": value}, {}, Fingerprints(checksums=checksums)) is not None


def test_what_a_tool_asks_for_counts_where_an_expression_reads_it():
    read = Read(port=None, field=RESOURCES, expression="$(runtime.cores)")
    assert seen([read], {}, {"coresMin": 1}) != seen([read], {}, {"coresMin": 2})
    assert seen([], {}, {"coresMin": 1}) == seen([], {}, {"coresMin": 2})


def test_a_call_that_gives_its_expressions_something_else_has_another_key():
    key = CallKey(digest="0", parts={"inputs": {}})
    found = {narrowed(key, {"x location": [place]}).digest for place in ("file:///a", "file:///b")}
    assert len(found | {key.digest}) == 3


class TestDirectories:
    @pytest.fixture
    def directory(self, tmp_path: Path) -> dict:
        (tmp_path / "d" / "inner" / "empty").mkdir(parents=True)
        (tmp_path / "d" / "inner" / "a").write_text("a")
        return {"class": "Directory", "location": (tmp_path / "d").as_uri(), "basename": "d"}

    @pytest.mark.parametrize(
        "change",
        [
            lambda d: (d / "inner" / "a").write_text("b"),
            lambda d: (d / "inner" / "b").write_text("b"),
            lambda d: (d / "inner" / "a").unlink(),
            lambda d: (d / "inner" / "empty").rmdir(),
            lambda d: (d / "inner" / "a").rename(d / "a"),
            lambda d: (d / "link").symlink_to("nowhere"),
        ],
        ids=["content", "more", "less", "empty directory", "moved", "broken link"],
    )
    def test_all_that_is_inside_counts(self, tmp_path: Path, directory: dict, change):
        before = key({"x": directory})
        assert key({"x": directory}) == before
        change(tmp_path / "d")
        assert key({"x": directory}) != before

    def test_where_a_broken_link_leads_counts(self, tmp_path: Path, directory: dict):
        link = tmp_path / "d" / "link"
        link.symlink_to("/opt/only-in-image/v1")
        before = key({"x": directory})
        link.unlink()
        link.symlink_to("/opt/only-in-image/v2")
        assert key({"x": directory}) != before
        link.unlink()
        link.symlink_to("/opt/only-in-image/v1")
        assert key({"x": directory}) == before

    def test_a_listing_that_was_loaded_counts_only_where_it_may_be_seen(self, directory: dict):
        listed = {**directory, "listing": [{"class": "Directory", "basename": "inner"}]}
        assert key({"x": directory}) == key({"x": listed})
        assert seen_in({"x": directory}, "x", "listing") != seen_in({"x": listed}, "x", "listing")

    def test_a_literal_directory_counts_by_its_files(self, tmp_path: Path):
        def literal(content: str) -> dict:
            return {"class": "Directory", "basename": "d", "listing": [file(tmp_path / "f", content)]}

        first = key({"x": literal("a")})
        assert first == key({"x": literal("a")}) != key({"x": literal("b")})

    def test_one_that_contains_itself_has_no_key(self, tmp_path: Path, directory: dict):
        (tmp_path / "d" / "again").symlink_to(tmp_path / "d")
        with pytest.raises(NotReusableError, match="contains itself"):
            key({"x": directory})


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({"class": "File", "location": "http://example.com/x"}, "not on this machine"),
        ({"class": "File", "location": "file:///no/such/file"}, "No such file"),
        ({"class": "File", "location": "file:///dev/null"}, "no regular file"),
    ],
    ids=["remote", "missing", "device"],
)
def test_a_call_whose_files_cannot_be_told_has_no_key(value, why):
    with pytest.raises(NotReusableError, match=why):
        key({"x": value})


def test_a_call_of_a_tool_with_an_obstacle_has_no_key():
    with pytest.raises(NotReusableError, match="secret"):
        key({}, of=identity(obstacle="it has secret inputs"))


def test_the_parts_that_are_kept_for_people_are_short():
    found = call_key(identity(), {"x": "a" * 10_000, "y": 1}, {}, Fingerprints(checksums=Checksums(None)))
    assert found is not None
    assert len(json.dumps(for_people(found).parts)) < 1000
    assert for_people(found).parts["inputs"]["y"] == 1
    assert for_people(found).digest == found.digest


def test_making_a_key_changes_nothing(tmp_path: Path):
    values = {"x": file(tmp_path / "x"), "y": [1, {"a": 2}]}
    before = copy.deepcopy(values)
    key(values)
    assert values == before


def _executable(value: dict) -> dict:
    Path(value["location"].removeprefix("file://")).chmod(0o755)
    return value
