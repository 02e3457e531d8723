"""Which path a location names, for everybody who asks."""

import os
from pathlib import Path

import pytest
from schema_salad.ref_resolver import uri_file_path

from cwl_prefect._lib.uris import file_uri, is_elsewhere, path_of, spellings
from cwl_prefect.engine.cache.fingerprint import local_path
from cwl_prefect.engine.outputs.placement import path_here

ODD_NAMES = ["a b", "a%20b", "a#b", "a?b", "a:b", "~", "ü", "+", "a\\b", "'\"$&;", os.fsdecode(b"\xff\xfe")]


@pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
def test_a_path_comes_back_from_its_uri(name: str) -> None:
    path = Path("/data", name)

    assert path_of(file_uri(path)) == path
    assert file_uri(path) == path.as_uri()


@pytest.mark.parametrize(
    ("location", "path"),
    [
        pytest.param("file:///tmp/a#b", "/tmp/a#b", id="number-sign"),
        pytest.param("file:///tmp/a%23b", "/tmp/a#b", id="quoted-number-sign"),
        pytest.param("file:///tmp/a#b%20c", "/tmp/a#b c", id="quoted-behind-a-number-sign"),
        pytest.param("file:///tmp/a%3Fb", "/tmp/a?b", id="quoted-question-mark"),
        pytest.param("file:///tmp/a%2520b", "/tmp/a%20b", id="quoted-percent-sign"),
        pytest.param("file:///tmp/%E2%82%AC", "/tmp/€", id="not-ascii"),
        pytest.param("file:///tmp/a", "/tmp/a", id="no-host"),
    ],
)
def test_all_readers_read_a_file_uri_alike(location: str, path: str) -> None:
    assert path_of(location) == Path(path)
    assert local_path(location) == Path(path)
    assert path_here({"class": "File", "location": location}) == Path(path)
    assert uri_file_path(location) == path  # as cwltool reads it


@pytest.mark.parametrize(
    ("location", "path"),
    [
        pytest.param("file://localhost/tmp/a", "/tmp/a", id="localhost"),
        pytest.param("file:/tmp/a", "/tmp/a", id="without-an-authority"),
        pytest.param("file:///tmp/a?b#c", "/tmp/a?b#c", id="question-mark"),
        pytest.param("/tmp/a%20b#c?d", "/tmp/a%20b#c?d", id="plain-path-as-it-is"),
        pytest.param("b/c", "b/c", id="relative"),
        pytest.param("a:b", "a:b", id="colon-in-a-name"),
        pytest.param("_:1234", None, id="literal"),
        pytest.param("file://other/tmp/a", None, id="other-host"),
        pytest.param("file://[other/tmp/a", None, id="broken-host"),
        pytest.param("https://example.org/a", None, id="web"),
        pytest.param("s3://bucket/a", None, id="bucket"),
        pytest.param("s3://[bucket/a", None, id="broken-bucket"),
    ],
)
def test_a_location_names_a_path_only_on_this_machine(location: str, path: str | None) -> None:
    assert path_of(location) == (None if path is None else Path(path))


@pytest.mark.parametrize(
    ("location", "elsewhere"),
    [("_:1234", False), ("/a", False), ("file:///a", False), ("file://other/a", True), ("http://example.org/a", True)],
)
def test_what_is_neither_a_path_nor_a_literal_is_elsewhere(location: str, elsewhere: bool) -> None:
    assert is_elsewhere(location) == elsewhere


def test_a_path_of_any_bytes_is_spelled_as_it_is_and_as_in_a_uri():
    assert spellings("/a b/\udce9") == {"/a b/\udce9", "/a%20b/%E9"}
    assert spellings("/a") == {"/a"}
