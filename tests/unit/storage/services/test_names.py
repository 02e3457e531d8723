import json
from hashlib import md5, sha256
from threading import Event

import pytest

from cwl_prefect._lib.locations import host_of
from cwl_prefect.errors import StorageError, UsageError
from cwl_prefect.storage.downloads import Downloads
from cwl_prefect.storage.objects import kind, listed, look
from cwl_prefect.storage.outer import outer_only
from cwl_prefect.storage.services import answers, names
from cwl_prefect.storage.services.names import resolved
from tests.web_server import running_web_server

CONTENT = b"reads"
INWARD = "it leads into the network of this machine"


@pytest.fixture
def downloads(tmp_path):
    return Downloads(directory=tmp_path)


@pytest.fixture
def zenodo(web, monkeypatch):
    monkeypatch.setattr(names, "ZENODO_FILE", f"{web.address}/records/{{record}}/files/{{file}}?download=1")
    return web


@pytest.fixture
def service(web, monkeypatch):
    """A service of DRS whose objects are what a test says of them."""
    monkeypatch.setattr(names, "DRS_OBJECT", f"{web.address}/{{host}}/objects/{{id}}")

    def put(about, name="1"):
        web.put(f"drs.example.org/objects/{name}", about if isinstance(about, bytes) else json.dumps(about).encode())
        return f"drs://drs.example.org/{name}"

    return put


def at(*urls, **further):
    return {"access_methods": [{"type": "https", "access_url": {"url": url}} for url in urls], **further}


class TestZenodo:
    @pytest.mark.parametrize(
        ("name", "url"),
        [
            ("zenodo:123/a.txt", "https://zenodo.org/records/123/files/a.txt?download=1"),
            ("zenodo:123/dir/a b%20c.txt", "https://zenodo.org/records/123/files/dir/a%20b%20c.txt?download=1"),
        ],
    )
    def test_a_file_lies_in_its_record(self, name, url):
        assert resolved(name).url == url

    @pytest.mark.parametrize("name", ["zenodo:123", "zenodo:x/a", "zenodo:1/../../a", "zenodo:1/a?token=x", "zenodo:"])
    def test_other_names_are_refused(self, name):
        with pytest.raises(UsageError, match=r"names no file of a record") as told:
            resolved(name)

        assert "token=x" not in str(told.value)

    def test_a_file_is_read_once(self, zenodo, downloads):
        zenodo.put("records/123/files/a.txt", CONTENT)
        first = downloads.file("zenodo:123/a.txt", Event())

        assert first.path.read_bytes() == CONTENT
        assert downloads.file("zenodo:123/a.txt", Event()) == first
        assert zenodo.reads("records/123/files/a.txt") == [None]

    def test_what_is_not_there_is_told_by_its_name(self, zenodo):
        assert kind("zenodo:123/a.txt") is None
        with pytest.raises(StorageError, match=r"^zenodo:123/a\.txt cannot be read: there is no such object"):
            look("zenodo:123/a.txt")

    def test_a_record_is_no_directory(self):
        with pytest.raises(StorageError, match="HTTP has no directories"):
            listed("zenodo:123/a")


class TestDrs:
    def test_an_object_is_asked_for_at_its_host(self, web, service):
        url = service(at("https://host/a"), "a%2Fb")

        assert resolved(url).url == "https://host/a"
        assert web.asked == [("GET", "drs.example.org/objects/a%2Fb", None)]

    def test_the_address_of_the_standard_is_asked(self):
        assert names.DRS_OBJECT.format(host="host", id="1") == "https://host/ga4gh/drs/v1/objects/1"

    def test_what_is_read_by_http_goes_first_and_what_may_not_be_read_is_left_out(self, service):
        assert resolved(service(at("file:///etc/passwd", "ftp://h/a", "s3://b/a", "https://h/a"))).url == "https://h/a"
        assert resolved(service(at("gs://b/a", "s3://b/a"))).url == "s3://b/a"

    def test_an_address_behind_an_identifier_is_asked_for(self, web, service):
        url = service({"access_methods": [{"type": "s3", "access_id": "x/y"}]})
        web.put("drs.example.org/objects/1/access/x%2Fy", b'{"url": "https://host/signed?s=1"}')

        assert resolved(url).url == "https://host/signed?s=1"

    @pytest.mark.parametrize(
        "about",
        [
            pytest.param({"contents": [{"name": "a", "id": "2"}]}, id="bundle"),
            pytest.param(at("file:///etc/passwd"), id="file"),
            pytest.param(
                {"access_methods": [{"access_url": {"url": "https://h/a", "headers": ["A: x"]}}]},
                id="headers",
            ),
        ],
    )
    def test_an_object_without_an_address_that_can_be_read_is_told(self, service, about):
        with pytest.raises(StorageError, match=r"^drs://drs\.example\.org/1 cannot be read: its server tells no"):
            resolved(service(about))

    @pytest.mark.parametrize(
        ("answer", "why"),
        [
            pytest.param(b"<html>secret</html>", "no description of an object", id="page"),
            pytest.param(b"[]", "no description of an object", id="list"),
            pytest.param(b" " * (answers.MAX_ANSWER + 1), "more than 1 MiB", id="large"),
        ],
    )
    def test_an_answer_that_is_none_is_told_and_not_shown(self, service, answer, why):
        with pytest.raises(StorageError, match=why) as told:
            resolved(service(answer))

        assert "secret" not in str(told.value)

    def test_an_object_that_is_not_there_is_missing(self, service):
        service({}, "1")
        assert kind("drs://drs.example.org/2") is None

    @pytest.mark.parametrize("name", ["drs://dg.4503:abc", "drs://provider/dg.4503:abc", "drs://host", "drs://u@h/1"])
    def test_compact_identifiers_are_refused(self, name):
        with pytest.raises(UsageError, match="compact identifiers are not read"):
            resolved(name)

    def test_its_checksum_tells_that_it_is_the_same_wherever_it_lies(self, web, service, downloads):
        digest = [{"type": "md5", "checksum": "0"}, {"type": "sha-256", "checksum": sha256(CONTENT).hexdigest()}]
        url = service(at(f"{web.put('a', CONTENT)}?signature=1", checksums=digest))
        first = downloads.file(url, Event())
        service(at(f"{web.put('b', CONTENT)}?signature=2", checksums=digest))

        assert first.path.read_bytes() == CONTENT
        assert downloads.file(url, Event()) == first
        assert web.reads("b") == []

    def test_an_object_of_another_checksum_is_never_an_input(self, web, service, downloads, tmp_path):
        digest = [{"type": "md5", "checksum": md5(b"other").hexdigest()}]
        url = service(at(web.put("a", CONTENT), checksums=digest))

        with pytest.raises(StorageError, match=r"^drs://drs\.example\.org/1 cannot be read: its md5 is"):
            downloads.file(url, Event())
        assert [path for path in tmp_path.rglob("*") if path.is_file() and path.read_bytes() == CONTENT] == []

    def test_an_object_of_another_size_is_never_an_input(self, web, service, downloads):
        with pytest.raises(StorageError, match="it has 7 bytes, but 5 lie at"):
            downloads.file(service(at(web.put("a", CONTENT), size=7)), Event())

    def test_it_leads_nowhere_else_in_the_network_of_this_machine(self, service, downloads, monkeypatch):
        with running_web_server("127.0.0.2") as inner:
            url = service(at(inner.put("secret", CONTENT)))
            for read in (lambda: downloads.file(url, Event()), lambda: kind(url)):
                with pytest.raises(StorageError, match=INWARD):
                    read()
            assert inner.asked == []

            monkeypatch.setenv("CWL_PREFECT_ALLOW_URL", json.dumps([inner.address]))
            assert downloads.file(url, Event()).path.read_bytes() == CONTENT

    def test_nor_does_the_answer_of_its_host(self, web, service):
        with running_web_server("127.0.0.2") as inner:
            web.redirections["drs.example.org/objects/1"] = inner.put("secret", json.dumps(at("https://h/a")).encode())
            with pytest.raises(StorageError, match=INWARD):
                resolved("drs://drs.example.org/1")
            assert inner.asked == []

    def test_a_host_that_a_person_named_may_be_there(self, web, downloads, monkeypatch):
        monkeypatch.setattr(names, "DRS_OBJECT", f"{web.address}/{{id}}")
        web.put("1", json.dumps(at(web.put("a", CONTENT))).encode())
        url = f"drs://{host_of(web.address)}/1"
        with outer_only([]), pytest.raises(StorageError, match=INWARD):
            downloads.file(url, Event())
        with outer_only([url]):
            assert downloads.file(url, Event()).path.read_bytes() == CONTENT

    def test_a_bundle_is_no_directory(self):
        with pytest.raises(StorageError, match="bundles of DRS are not read"):
            listed("drs://host/1")
