import pytest

from cwl_prefect._lib.locations import beside, is_remote, is_web, quoted, shown_url


@pytest.mark.parametrize("scheme", ["s3", "gs", "az", "abfs", "abfss", "http", "https", "ftp", "sftp", "S3"])
def test_schemes_that_can_be_read_are_remote(scheme):
    assert is_remote(f"{scheme}://host/path")


@pytest.mark.parametrize("location", ["/data/a", "a/b", "file:///a", "_:123", "drs://host/1", "s3:/a", "", "a b://c"])
def test_all_else_is_not(location):
    assert not is_remote(location)


@pytest.mark.parametrize(("url", "web"), [("https://host/a", True), ("HTTP://host/a", True), ("s3://bucket/a", False)])
def test_only_http_is_of_the_web(url, web):
    assert is_web(url) is web


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        pytest.param("https://host/a?X-Amz-Signature=secret#part", "https://host/a?…", id="signature"),
        pytest.param("https://user:secret@host:8080/a", "https://host:8080/a", id="password"),
        pytest.param("sftp://user:se@cret@host/a", "sftp://host/a", id="at-in-the-password"),
        pytest.param("abfs://container@account/a", "abfs://container@account/a", id="container"),
        pytest.param("s3://bucket/a@b", "s3://bucket/a@b", id="at-in-the-key"),
        pytest.param("simplecache::s3://key:secret@bucket/a", "simplecache::s3://bucket/a", id="one-behind-another"),
        pytest.param("https://host", "https://host", id="no-path"),
        pytest.param("https://host?token=secret", "https://host?…", id="no-path-but-a-query"),
    ],
)
def test_what_is_secret_of_a_url_is_not_shown(url, shown):
    assert shown_url(url) == shown


@pytest.mark.parametrize(
    ("url", "name", "found"),
    [
        ("s3://bucket/dir/a.bam", "a b.bai", "s3://bucket/dir/a b.bai"),
        ("https://host/dir/a.bam", "a b.bai", "https://host/dir/a%20b.bai"),
        ("https://host/dir/a.bam?sig=1/2", "a.bam.bai", "https://host/dir/a.bam.bai?sig=1/2"),
    ],
)
def test_a_neighbour_is_in_the_same_directory(url, name, found):
    assert beside(url, name) == found


def test_a_web_address_keeps_what_is_quoted_already():
    assert quoted("https://host/a%20b c/ü?x=1&y=[2]") == "https://host/a%20b%20c/%C3%BC?x=1&y=[2]"
