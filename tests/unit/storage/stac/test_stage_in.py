import json
import os
from pathlib import PurePosixPath
from threading import Event

import pystac
import pytest

from cwl_prefect._lib.uris import file_uri, path_of
from cwl_prefect.errors import StorageError, UsageError
from cwl_prefect.storage.downloads import Downloads
from cwl_prefect.storage.fetching import fetched
from cwl_prefect.storage.stac import documents as stac
from cwl_prefect.storage.stac.stage_in import Choice, staged
from tests.unit.storage.stac.documents import Documents, catalog, item

URL = "https://host/catalog.json"


@pytest.fixture
def documents():
    return Documents()


def stage(documents, url=URL, **choice):
    return staged(url, Choice(**choice), documents)


def document(found, path):
    return json.loads(found.documents[path])


class TestWhatIsStaged:
    def test_an_item_is_a_catalog_of_its_own(self, documents):
        url = documents.put("https://host/i/a.json", item(collection="c", links=[("collection", "../c.json")]))
        found = stage(documents, url)

        assert found.assets == {"a/red.tif": "https://host/i/red.tif", "a/nir.tif": "https://host/i/nir.tif"}
        assert [each["href"] for each in document(found, "catalog.json")["links"]] == ["./catalog.json", "./a/a.json"]
        staged_item = document(found, "a/a.json")
        assert {key: asset["href"] for key, asset in staged_item["assets"].items()} == {
            "red": "./red.tif",
            "nir": "./nir.tif",
        }
        assert {each["rel"]: each["href"] for each in staged_item["links"]} == {
            "root": "../catalog.json",
            "parent": "../catalog.json",
        }
        assert "collection" not in staged_item

    def test_a_catalog_leads_to_items_through_collections(self, documents):
        documents.put(URL, catalog([("child", "c/collection.json"), ("item", "b.json"), ("license", "no.json")]))
        documents.put("https://host/c/collection.json", catalog([("item", "a.json")], type="Collection"))
        documents.put("https://host/c/a.json", item("a"))
        documents.put("https://host/b.json", item("b"))

        assert set(stage(documents).documents) == {"catalog.json", "a/a.json", "b/b.json"}

    def test_links_in_a_circle_end(self, documents):
        documents.put(URL, catalog([("child", "catalog.json"), ("item", "a.json"), ("item", "./a.json")]))
        documents.put("https://host/a.json", item())

        stage(documents)
        assert documents.asked == [URL, "https://host/a.json"]

    def test_only_the_chosen_assets_are_fetched(self, documents):
        url = documents.put("s3://bucket/a.json", item())
        found = stage(documents, url, assets=("red",))

        assert found.assets == {"a/red.tif": "s3://bucket/red.tif"}
        assert list(document(found, "a/a.json")["assets"]) == ["red"]

    def test_an_asset_that_an_item_has_not_is_told_with_those_that_it_has(self, documents):
        documents.put(URL, item())

        with pytest.raises(StorageError, match="the item a has no asset 'blue'") as told:
            stage(documents, assets=("blue",))
        assert told.value.hint == "Choose by --assets among nir, red."

    def test_it_is_the_same_each_time(self, documents):
        documents.put(URL, item())

        assert stage(documents) == stage(documents)

    def test_without_the_package_it_is_told_what_to_install(self, documents, monkeypatch):
        monkeypatch.setattr(stac, "find_spec", lambda _: None)

        with pytest.raises(UsageError) as told:
            stage(documents)
        assert told.value.hint == "Run `pip install 'cwl-prefect[eo]'`."


class TestWhatIsNotTrusted:
    @pytest.mark.parametrize("href", ["file:///etc/passwd", "data:text/plain,a", "C://x/y"])
    def test_what_lies_at_no_url_is_refused(self, documents, href):
        documents.put(URL, item(assets={"red": href}))

        with pytest.raises(StorageError, match=r"the asset 'red' is at .*, and catalogs may only name"):
            stage(documents)

    @pytest.mark.parametrize("href", ["s3://private/key", "sftp://host/home/me/.ssh/id_rsa"])
    def test_what_would_be_read_with_the_users_rights_is_refused(self, documents, href):
        documents.put(URL, item(assets={"red": href}))

        with pytest.raises(StorageError, match="would be read with your credentials"):
            stage(documents)

    def test_another_bucket_is_read_where_it_is_allowed(self, documents):
        url = documents.put("s3://catalogs/a.json", item(assets={"red": "s3://eodata/red.tif"}))

        assert stage(documents, url, allowed=("s3://eodata/",)).assets == {"a/red.tif": "s3://eodata/red.tif"}
        with pytest.raises(StorageError, match="would be read with your credentials"):
            stage(documents, url, allowed=("s3://eodat",))

    @pytest.mark.parametrize("href", ["http://169.254.169.254/latest", "//127.0.0.1/a", "https://[::1]/a"])
    def test_an_address_of_an_inner_network_is_refused(self, documents, href):
        documents.put(URL, item(assets={"red": href}))

        with pytest.raises(StorageError, match="would be read from within your network") as told:
            stage(documents)
        assert "CWL_PREFECT_ALLOW_URL" in told.value.hint

    def test_a_link_to_an_inner_network_is_refused(self, documents):
        documents.put(URL, catalog([("item", "http://10.0.0.1/a.json")]))

        with pytest.raises(StorageError, match=r"a link is at .* from within your network"):
            stage(documents)

    def test_an_inner_address_is_read_for_a_catalog_of_its_host_and_where_it_is_allowed(self, documents):
        url = documents.put("http://10.0.0.1/a.json", item(assets={"red": "http://10.0.0.1:8080/red.tif"}))
        assert stage(documents, url).assets == {"a/red.tif": "http://10.0.0.1:8080/red.tif"}

        documents.put(URL, item(assets={"red": "http://10.0.0.1/red.tif"}))
        assert stage(documents, allowed=("http://10.0.0.1/",)).assets == {"a/red.tif": "http://10.0.0.1/red.tif"}

    @pytest.mark.parametrize("identifier", ["..", "../../a", "/etc", "a/b", "", ".", "a\0b", "catalog.json", "ä" * 300])
    def test_no_name_leads_out_of_the_directory(self, documents, identifier):
        documents.put(
            URL, item(identifier, assets={"x": "https://host/%2e%2e%2fx", "y": "https://host/..", "z": "https://host/"})
        )
        found = stage(documents)

        for path in (*found.documents, *found.assets):
            parts = PurePosixPath(path).parts
            assert len(parts) <= 2
            assert all(part not in ("", ".", "..") and "/" not in part and len(part) < 128 for part in parts)
        assert len(found.assets) == 3

    def test_items_and_assets_of_one_name_get_others(self, documents):
        documents.put(URL, catalog([("item", "1.json"), ("item", "2.json")]))
        for number in (1, 2):
            documents.put(f"https://host/{number}.json", item(assets={"p": "p/a.json", "q": "q/a.json"}))
        found = stage(documents)

        assert set(found.documents) == {"catalog.json", "a/a.json", "2-a/2-a.json"}
        assert set(found.assets) == {"a/2-a.json", "a/3-a.json", "2-a/a.json", "2-a/3-a.json"}

    @pytest.mark.parametrize(
        "content",
        [
            b"<html>",
            b"[]",
            b'{"type": "FeatureCollection"}',
            b'{"type": "Feature"}',
            b'{"type": "Feature", "stac_version": "1.0.0", "id": 5, "properties": 7, "assets": []}',
            b"[" * 100_000,
            b'{"type": "Catalog", "links": ' + b"[" * 200 + b"]" * 200 + b"}",
        ],
    )
    def test_what_is_no_document_is_told(self, documents, content):
        documents.put(URL, content)

        with pytest.raises(StorageError, match=r"https://host/catalog.json cannot be read as a STAC"):
            stage(documents)

    def test_what_json_has_no_number_for_is_not_known(self, documents):
        properties = {"datetime": "2024-07-01T00:00:00Z", "eo:cloud_cover": float("nan")}
        documents.put(URL, item(properties=properties))

        written = next(found for found in stage(documents).documents.values() if "cloud_cover" in found)
        assert json.loads(written, parse_constant=pytest.fail)["properties"]["eo:cloud_cover"] is None

    def test_a_catalog_without_items_is_told(self, documents):
        documents.put(URL, catalog([]))

        with pytest.raises(StorageError, match="it leads to no item"):
            stage(documents)

    def test_too_many_documents_are_not_read(self, documents, monkeypatch):
        monkeypatch.setattr(stac, "MAX_DOCUMENTS", 2)
        documents.put(URL, catalog([("item", "1.json"), ("item", "2.json")]))

        with pytest.raises(StorageError, match="it leads to more than 2 items"):
            stage(documents)
        assert documents.asked == [URL]


def fetch(url, tmp_path, **choice):
    downloads = Downloads(directory=tmp_path, stac=Choice(**choice))
    told = []
    given = {"scene": {"class": "Directory", "location": url}}
    here = fetched(given, downloads, Event(), lambda path, _: told.append(path))
    return path_of(here["scene"]["location"]), told


class TestFetching:
    def test_an_input_becomes_a_directory_that_pystac_reads(self, web, object_store, tmp_path):
        web.put("red.tif", b"red")
        content = json.dumps(item(assets={"red": "./red.tif", "nir": object_store.put("nir.tif", b"nir")}))
        url = web.put("a.json", content.encode())
        directory, told = fetch(url, tmp_path, allowed=(object_store.url(""),))

        assert told == [directory]
        found = pystac.Catalog.from_file(str(directory / "catalog.json"))
        (read,) = found.get_items()
        assert {key: path_of(asset.get_absolute_href()).read_bytes() for key, asset in read.assets.items()} == {
            "red": b"red",
            "nir": b"nir",
        }

    def test_what_is_there_already_is_not_read_again(self, web, tmp_path):
        web.put("red.tif", b"red")
        url = web.put("a.json", json.dumps(item(assets={"red": "./red.tif"})).encode())

        assert fetch(url, tmp_path) == fetch(url, tmp_path)
        assert web.reads("red.tif") == web.reads("a.json") == [None]

    def test_a_prefix_of_a_store_is_a_directory_as_ever(self, object_store, tmp_path):
        object_store.put("dir/a", b"a")

        assert (fetch(object_store.url("dir"), tmp_path)[0] / "a").read_bytes() == b"a"

    def test_an_asset_that_is_not_there_is_told_with_its_input(self, web, tmp_path):
        url = web.put("a.json", json.dumps(item(assets={"red": "./red.tif"})).encode())

        with pytest.raises(StorageError, match=r"^input scene: http.*/red.tif cannot be read: there is no such object"):
            fetch(url, tmp_path)

    def test_more_than_the_most_is_not_fetched(self, web, tmp_path):
        web.put("red.tif", b"red" * 1000)
        url = web.put("a.json", json.dumps(item(assets={"red": "./red.tif"})).encode())

        with pytest.raises(StorageError, match=r"its assets have 0 of 0\.001 MiB"):
            fetch(url, tmp_path, max_mib=0.001)
        assert web.reads("red.tif") == []

    def test_a_document_that_is_too_large_is_not_fetched(self, web, tmp_path, monkeypatch):
        monkeypatch.setattr("cwl_prefect.storage.downloads.MAX_DOCUMENT", 10)
        url = web.put("a.json", json.dumps(item()).encode())

        with pytest.raises(StorageError, match="it has more than 16 MiB"):
            fetch(url, tmp_path)
        assert web.reads("a.json") == []


class TestDocumentsOfThisMachine:
    @pytest.fixture
    def scene(self, tmp_path):
        """Give the directory of a catalog with one item below it, and a file beside it."""
        (tmp_path / "secret").write_bytes(b"secret")
        folder = tmp_path / "my scene"
        (folder / "i").mkdir(parents=True)
        (folder / "red band.tif").write_bytes(b"red")
        (folder / "catalog.json").write_text(json.dumps(catalog([("item", "i/a.json")])))
        return folder

    def put(self, scene, href):
        (scene / "i/a.json").write_text(json.dumps(item(assets={"red": href})))
        return scene / "catalog.json"

    def test_one_becomes_a_directory_as_one_at_a_url_does(self, scene, tmp_path):
        location = file_uri(self.put(scene, "../red%20band.tif"))
        directory, told = fetch(location, tmp_path / "downloads")

        assert told == [directory]
        (read,) = pystac.Catalog.from_file(str(directory / "catalog.json")).get_items()
        copied = path_of(read.assets["red"].get_absolute_href())
        assert (copied.name, copied.read_bytes()) == ("red-band.tif", b"red")
        assert copied.stat().st_nlink == 1

    def test_it_is_made_again_once_a_file_has_changed(self, scene, tmp_path):
        location = file_uri(self.put(scene, "../red%20band.tif"))
        before, _ = fetch(location, tmp_path / "downloads")
        assert fetch(location, tmp_path / "downloads")[0] == before

        (scene / "red band.tif").write_bytes(b"other")
        assert (fetch(location, tmp_path / "downloads")[0] / "a/red-band.tif").read_bytes() == b"other"

    def test_its_assets_may_lie_at_urls(self, scene, web, tmp_path):
        location = file_uri(self.put(scene, web.put("red.tif", b"far")))

        with pytest.raises(StorageError, match="from within your network"):
            fetch(location, tmp_path / "downloads")
        directory, _ = fetch(location, tmp_path / "downloads", allowed=(web.put("", b""),))
        assert (directory / "a/red.tif").read_bytes() == b"far"

    @pytest.mark.parametrize(
        "href", ["../../secret", "{}/secret", "file://{}/secret", "..%2F..%2Fsecret", "../link", "../all/secret"]
    )
    def test_nothing_leads_out_of_its_directory(self, href, scene, tmp_path):
        (scene / "link").symlink_to(tmp_path / "secret")
        (scene / "all").symlink_to(tmp_path)
        location = file_uri(self.put(scene, href.format(tmp_path)))

        with pytest.raises(
            StorageError, match=r"the asset 'red' is at .*, and only files below .*/my scene may be named"
        ):
            fetch(location, tmp_path / "downloads")

    @pytest.mark.parametrize("href", ["nothing.tif", "../i", "file://other/a", "a%00b", "../pipe"])
    def test_what_is_no_file_is_told(self, href, scene, tmp_path):
        os.mkfifo(scene / "pipe")
        location = file_uri(self.put(scene, href))

        with pytest.raises(StorageError, match=r"the asset 'red' is at .*, and there is no file"):
            fetch(location, tmp_path / "downloads")

    def test_more_than_the_most_is_not_copied(self, scene, tmp_path):
        location = file_uri(self.put(scene, "../red%20band.tif"))

        with pytest.raises(StorageError, match="its assets have 0 of 1e-06 MiB"):
            fetch(location, tmp_path / "downloads", max_mib=1e-6)

    def test_a_document_on_the_web_names_no_file_of_this_machine(self, documents, tmp_path):
        (tmp_path / "a").touch()
        documents.put(URL, item(assets={"red": file_uri(tmp_path / "a")}))

        with pytest.raises(StorageError, match="catalogs may only name what lies at URLs"):
            stage(documents, root=tmp_path)
