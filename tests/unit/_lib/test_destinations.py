from pathlib import Path

import pytest

from cwl_prefect._lib.destinations import below, destination_of, names_url, without_login


@pytest.mark.parametrize(
    ("place", "destination"),
    [
        ("out", Path("out")),
        ("/tmp/a:b", Path("/tmp/a:b")),
        ("c:/x", Path("c:/x")),
        ("a/b://c", Path("a/b:/c")),
        ("s3://bucket/out/", "s3://bucket/out"),
        ("s3://bucket", "s3://bucket"),
        (Path("gs://bucket/out"), "gs://bucket/out"),
        ("sftp://me@host/data/{run_id}", "sftp://me@host/data/{run_id}"),
        ("abfss://container@account.dfs.core.windows.net/out", "abfss://container@account.dfs.core.windows.net/out"),
        ("s3://bucket/two words", "s3://bucket/two words"),
    ],
    ids=str,
)
def test_a_destination_is_a_directory_or_a_url(place, destination):
    assert destination_of(place) == destination


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("https://host/out", "web servers are only read from; name a directory, or a URL of abfs://, abfss://, az://"),
        ("file:///tmp/out", "it is a URL of this machine"),
        ("drs://host/1", "no such URL can be written to"),
        ("s3://key:secret@bucket/out", "it holds a password"),
        ("ftp://me:secret@host/out", "it holds a password"),
        ("s3://bucket/out?X-Amz-Signature=secret", "which may be a signature"),
        ("s3://bucket/out#part", "has a query or fragment"),
        ("s3:///out", "it names no bucket or host"),
        ("s3://[bucket/out", "it is no URL"),
    ],
)
def test_a_url_that_results_cannot_go_to_is_refused_with_the_reason(place, said):
    with pytest.raises(ValueError, match=said) as refused:
        destination_of(place)
    assert "secret" not in str(refused.value)


def test_what_is_below_a_destination_keeps_its_name():
    assert below(Path("/out"), "a/b c") == Path("/out/a/b c")
    assert below("s3://bucket/out", "a/b c#%20.txt") == "s3://bucket/out/a/b c#%20.txt"


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ("s3://key:secret@bucket/out?token=secret", "s3://bucket/out?…"),
        ("s3:/key:secret@bucket/out", "s3://bucket/out"),
        ("abfss://container@account/out", "abfss://container@account/out"),
        ("s3://bucket/out", "s3://bucket/out"),
        ("/data/a?b@c", "/data/a?b@c"),
    ],
)
def test_a_place_is_shown_without_credentials(place, shown):
    assert without_login(place) == shown


def test_a_path_with_a_colon_is_no_url():
    assert not names_url("a/b://c")
    assert names_url(Path("s3://bucket"))
