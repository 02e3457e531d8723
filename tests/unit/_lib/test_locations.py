import pytest

from cwl_prefect._lib.locations import beside, host_of, is_inner, is_remote, is_url, is_web, joined, quoted, shown_url
from cwl_prefect._lib.uris import path_of


@pytest.mark.parametrize("scheme", ["s3", "gs", "az", "abfs", "abfss", "http", "https", "ftp", "sftp", "S3"])
def test_schemes_that_can_be_read_are_remote(scheme):
    assert is_remote(f"{scheme}://host/path")


@pytest.mark.parametrize("location", ["/data/a", "a/b", "file:///a", "_:123", "dos://host/1", "s3:/a", "", "a b://c"])
def test_all_else_is_not(location):
    assert not is_remote(location)


@pytest.mark.parametrize("location", ["zenodo:1/a", "drs://host/1"])
def test_names_that_stand_for_urls_are_remote(location):
    assert is_remote(location)
    assert path_of(location) is None


@pytest.mark.parametrize(
    ("base", "reference", "found"),
    [
        ("zenodo:1/job.yml", ".", "zenodo:1/"),
        ("zenodo:1/", "a%20b.txt", "zenodo:1/a%20b.txt"),
        ("zenodo:1/dir/", "https://host/a", "https://host/a"),
        ("s3://bucket/", "zenodo:1/a", "zenodo:1/a"),
        ("file:///dir/", "drs://host/1", "drs://host/1"),
    ],
)
def test_a_reference_starts_from_where_it_stands(base, reference, found):
    assert joined(base, reference) == found


@pytest.mark.parametrize(
    ("url", "web"),
    [
        ("zenodo:1/a", True),
        ("drs://host/1", False),
        ("https://host/a", True),
        ("HTTP://host/a", True),
        ("s3://bucket/a", False),
    ],
)
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
        pytest.param("zenodo:1/a b?token=secret", "zenodo:1/a b?…", id="zenodo"),
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
        ("zenodo:1/a.bam", "a b.bai", "zenodo:1/a%20b.bai"),
        ("https://host/dir/a.bam", "a b.bai", "https://host/dir/a%20b.bai"),
        ("https://host/dir/a.bam?sig=1/2", "a.bam.bai", "https://host/dir/a.bam.bai?sig=1/2"),
    ],
)
def test_a_neighbour_is_in_the_same_directory(url, name, found):
    assert beside(url, name) == found


def test_a_web_address_keeps_what_is_quoted_already():
    assert quoted("https://host/a%20b c/ü?x=1&y=[2]") == "https://host/a%20b%20c/%C3%BC?x=1&y=[2]"


@pytest.mark.parametrize(
    "authority",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "%31%32%37.0.0.1",
        "\uff1127.0.0.1",
        "user@127.0.0.1:80",
        "127.0.0.1.",
        "0.0.0.0",
        "169.254.169.254",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "[::1]",
        "[::ffff:10.0.0.1]",
        "[fe80::1%25eth0]",
        "[fd00:ec2::254]",
        "LOCALHOST",
        "a.localhost",
    ],
)
def test_addresses_of_inner_networks_are_known_in_any_spelling(authority):
    assert is_inner(host_of(f"http://{authority}/a"))


@pytest.mark.parametrize("authority", ["example.org", "8.8.8.8", "[2606:4700::1]", "localhost.example.org", "", "[x"])
def test_other_hosts_are_none(authority):
    assert not is_inner(host_of(f"http://{authority}/a"))


@pytest.mark.parametrize(
    "location", ["s3://bucket/a", "HTTPS://host", "file:///a", "zenodo:1/a", "simplecache::s3://bucket/a", "s3://[a"]
)
def test_urls_are_known_whoever_reads_them(location):
    assert is_url(location)


@pytest.mark.parametrize("location", ["/a", "a/b", "C:/a", "a:b", "1://a", "a b://c", "a/b://c", "s3:/a", "_:1", ""])
def test_paths_are_no_urls(location):
    assert not is_url(location)
