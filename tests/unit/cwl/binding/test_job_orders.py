import io
import json
import sys

import pytest

from cwl_prefect.cwl.binding import job_orders
from cwl_prefect.cwl.binding.job_orders import load_job_order, received_job_order, referred
from cwl_prefect.errors import InputError, StorageError
from cwl_prefect.storage.downloads import Downloads, install
from cwl_prefect.storage.services import names


@pytest.fixture
def given(monkeypatch, tmp_path):
    """Let something stand on the standard input of a process in an own directory."""
    monkeypatch.chdir(tmp_path)

    def given(content: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    return given


class TestStandardInput:
    def test_paths_start_from_the_current_directory(self, given, tmp_path):
        given("{f: {class: File, path: ü/a.txt}, n: 3}".encode())
        found = received_job_order()
        assert found == {"f": {"class": "File", "location": f"{tmp_path.as_uri()}/%C3%BC/a.txt"}, "n": 3}

    def test_nothing_is_an_empty_order(self, given):
        given(b"")
        assert received_job_order() == {}

    @pytest.mark.parametrize(
        ("content", "told"),
        [(b"- 1", "expected a mapping"), (b"a: [", "1:5: not YAML"), (b"a: \xff", "not a text in UTF-8")],
        ids=["list", "broken", "latin-1"],
    )
    def test_errors_name_it(self, given, content, told):
        given(content)
        with pytest.raises(InputError, match=f"^standard input.*{told}"):
            received_job_order()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"a": ' + "[" * 200 + "]" * 200 + "}", id="json"),
        pytest.param('{"a": ' + "[" * 20_000 + "]" * 20_000 + "}", id="json-deeper-than-the-parser"),
        pytest.param("a: " + "[" * 200 + "]" * 200, id="yaml"),
        pytest.param("a: " + "{a: " * 5_000 + "1" + "}" * 5_000, id="yaml-deeper-than-the-parser"),
    ],
)
def test_nesting_has_a_limit(tmp_path, text):
    (tmp_path / "order").write_text(text)
    with pytest.raises(InputError, match=r"order: (input a: )?it is nested deeper than 100 levels"):
        load_job_order(tmp_path / "order")


def test_half_a_character_is_refused(tmp_path):
    (tmp_path / "order").write_text(r'{"a": {"b": "\ud800"}}')
    with pytest.raises(InputError, match="holds half of a character"):
        load_job_order(tmp_path / "order")


@pytest.mark.parametrize("text", ["{a: 1, {b: [1]}: 2}", "? [a, {b: 1}]\n: 2\n"], ids=["mapping", "list"])
def test_a_name_that_is_none_is_told(tmp_path, text):
    (tmp_path / "order").write_text(text)
    with pytest.raises(InputError, match="order: a list or a mapping is where a name is expected"):
        load_job_order(tmp_path / "order")


@pytest.mark.parametrize("field", ["location", "path"])
def test_what_is_no_address_is_refused(tmp_path, field):
    (tmp_path / "order").write_text(json.dumps({"a": {"class": "File", field: "http://["}}))
    with pytest.raises(InputError, match=r"http://\[: this is no address"):
        load_job_order(tmp_path / "order")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        pytest.param("n: 1\na: .nan\n", "NaN", id="yaml"),
        pytest.param("a: [{x: -.inf}]\n", "-Infinity", id="within"),
        pytest.param('{"a": NaN}', "NaN", id="json"),
        pytest.param('{"a": 1e400}', "Infinity", id="too-large"),
    ],
)
def test_what_is_no_number_of_json_is_refused_with_its_input(tmp_path, text, name):
    (tmp_path / "order").write_text(text)
    with pytest.raises(InputError, match=f"input a: {name} is no number of JSON") as raised:
        load_job_order(tmp_path / "order")
    assert "finite numbers" in str(raised.value.hint)


def test_a_pair_of_escapes_is_a_character(tmp_path):
    (tmp_path / "order").write_text(r'{"a": "\ud83d\ude00"}')
    assert load_job_order(tmp_path / "order") == {"a": "😀"}


def test_size_has_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(job_orders, "LARGEST_JOB_ORDER", 1024 * 1024)
    with pytest.raises(InputError, match="larger than a job order may be, 1 MiB"):
        load_job_order("/dev/zero")


def test_a_path_of_any_bytes_is_kept(tmp_path):
    (tmp_path / "order").write_text(r'{"a": {"class": "File", "path": "\udcff.txt"}}')
    assert load_job_order(tmp_path / "order")["a"]["location"] == f"{tmp_path.as_uri()}/%FF.txt"


class TestUrls:
    ORDER = (
        b"f: {class: File, path: a b.txt}\ng: {class: File, location: ../b.txt}\nh: {class: File, location: 's3://x/c'}"
    )

    @pytest.fixture(autouse=True)
    def _home(self, tmp_path, monkeypatch):
        install(Downloads(directory=tmp_path / "downloads"))

    def test_paths_in_an_order_of_a_store_start_from_its_prefix(self, object_store):
        found = load_job_order(object_store.put("dir/sub/order.yml", self.ORDER))

        assert [found[name]["location"] for name in "fgh"] == [
            "s3://data/dir/sub/a b.txt",
            "s3://data/dir/b.txt",
            "s3://x/c",
        ]

    def test_paths_in_an_order_of_the_web_are_quoted(self, web):
        found = load_job_order(web.put("dir/sub/order.yml", self.ORDER))

        assert [found[name]["location"] for name in "fg"] == [
            f"{web.address}/dir/sub/a%20b.txt",
            f"{web.address}/dir/b.txt",
        ]

    def test_paths_in_an_order_of_a_record_are_files_of_it(self, web, monkeypatch):
        monkeypatch.setattr(names, "ZENODO_FILE", f"{web.address}/{{record}}/{{file}}?download=1")
        web.put("1/order.yml", b"f: {class: File, path: a b.txt}")

        assert load_job_order("zenodo:1/order.yml")["f"]["location"] == "zenodo:1/a%20b.txt"

    def test_an_order_that_is_not_there_is_told(self, web):
        with pytest.raises(StorageError, match=r"/none\.yml\?… cannot be read: there is no such object"):
            load_job_order(f"{web.address}/none.yml?token=secret")

    def test_what_is_no_mapping_is_told_by_its_url_without_the_signature(self, web):
        web.put("list.yml", b"- secret-1")
        web.put("broken.yml", b"a: [")
        web.put("latin.yml", b"a: \xff")
        for name, why in (("list", "expected a mapping"), ("broken", "not YAML"), ("latin", "not a text in UTF-8")):
            with pytest.raises(InputError, match=rf"/{name}\.yml\?….*{why}") as caught:
                load_job_order(f"{web.address}/{name}.yml?X-Amz-Signature=abc")
            assert "abc" not in str(caught.value)


class TestReferences:
    @pytest.fixture(autouse=True)
    def _home(self, tmp_path, monkeypatch):
        install(Downloads(directory=tmp_path / "downloads"))

    def test_own_values_go_over_those_of_the_order_that_is_referred_to(self, object_store, tmp_path):
        url = object_store.put("dir/job.yml", b"n: 1\nm: 2\nf: {class: File, path: a.txt}")
        (tmp_path / "order.yml").write_text(f"$ref: {url}\nn: 3\ng: {{class: File, path: b.txt}}")

        assert load_job_order(tmp_path / "order.yml") == {
            "n": 3,
            "m": 2,
            "f": {"class": "File", "location": "s3://data/dir/a.txt"},
            "g": {"class": "File", "location": f"{tmp_path.as_uri()}/b.txt"},
        }

    @pytest.mark.parametrize("place", ["sub/large one.yml", "{}/sub/large one.yml"], ids=["relative", "absolute"])
    def test_a_path_starts_from_the_order_s_directory(self, tmp_path, place):
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub/large one.yml").write_text("f: {class: File, path: a.txt}")
        (tmp_path / "order.yml").write_text(f"$ref: {place.format(tmp_path)}")

        assert load_job_order(tmp_path / "order.yml")["f"]["location"] == f"{tmp_path.as_uri()}/sub/a.txt"

    def test_the_standard_input_refers_from_the_current_directory(self, given, tmp_path):
        (tmp_path / "large.yml").write_text("n: 1")
        given(b'{"$ref": "large.yml"}')

        assert received_job_order() == {"n": 1}

    def test_an_order_that_is_referred_to_refers_to_none(self, tmp_path):
        (tmp_path / "order.yml").write_text("$ref: order.yml")

        with pytest.raises(InputError, match=r"order\.yml: it refers to another job order"):
            load_job_order(tmp_path / "order.yml")

    @pytest.mark.parametrize(("value", "found"), [("3", "3"), ("[a]", "an array"), ("''", '""')])
    def test_it_is_a_path_or_url(self, tmp_path, value, found):
        (tmp_path / "order.yml").write_text(f"$ref: {value}")

        with pytest.raises(InputError, match=rf"\$ref: expected the path or URL of a job order, found {found}"):
            load_job_order(tmp_path / "order.yml")

    def test_an_order_that_is_not_there_is_told_without_its_signature(self, web):
        with pytest.raises(StorageError, match=r"/none\.yml\?… cannot be read: there is no such object"):
            referred({"$ref": f"{web.address}/none.yml?token=secret"}, "file:///")
