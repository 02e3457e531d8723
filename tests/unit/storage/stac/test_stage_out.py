import json
from pathlib import Path

import pystac
import pytest

from cwl_prefect._lib.uris import file_uri
from cwl_prefect.engine.outputs.publish import publish
from cwl_prefect.engine.outputs.upload import upload
from cwl_prefect.errors import PublishError
from cwl_prefect.storage.stac.stage_out import Delivery, staged_out
from cwl_prefect.storage.uploads import Place
from tests.unit.storage.stac.documents import catalog, item

RUN = "6f0c"


@pytest.fixture
def result(tmp_path):
    """A directory as a tool leaves it: a catalog with one item, whose asset lies beside it."""
    root = tmp_path / "result"
    write(root, "catalog.json", catalog([("root", "./catalog.json"), ("item", "./a/a.json")]))
    write(root, "a/a.json", item(assets={"index": "./index.csv"}, bbox=[1, 2, 0, 3, 4, 9], links=[("root", "x")]))
    write(root, "a/index.csv", b"1,2")
    return root


def write(root, path, content):
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())


def directory(root, **further):
    return {"class": "Directory", "location": file_uri(root), **further}


def stage(outputs, destination="s3://data/out"):
    return staged_out(outputs, Delivery(destination=destination, run_id=RUN, title="water"))


def texts(listing, folder=""):
    """Return the texts of a listing by their paths."""
    found = {}
    for each in listing:
        path = f"{folder}{each['basename']}"
        if "contents" in each:
            found[path] = json.loads(each["contents"])
        found |= texts(each.get("listing", ()), f"{path}/")
    return found


def hrefs(document):
    return {(link["rel"], link["href"]) for link in document["links"]}


class TestDocuments:
    def test_links_and_assets_lead_to_where_they_will_be(self, result):
        outputs, names = stage({"result": directory(result)})
        found = texts(outputs["result"]["listing"])
        place = "s3://data/out/result"

        assert names == {"result"}
        assert hrefs(found["catalog.json"]) == {
            ("root", f"{place}/catalog.json"),
            ("self", f"{place}/catalog.json"),
            ("child", f"{place}/collection.json"),
        }
        assert ("item", f"{place}/a/a.json") in hrefs(found["collection.json"])
        assert hrefs(found["a/a.json"]) == {
            ("root", f"{place}/catalog.json"),
            ("parent", f"{place}/collection.json"),
            ("collection", f"{place}/collection.json"),
            ("self", f"{place}/a/a.json"),
        }
        assert found["a/a.json"]["assets"]["index"]["href"] == f"{place}/a/index.csv"
        assert found["a/a.json"]["collection"] == found["collection.json"]["id"] == f"result-{RUN}"

    def test_the_collection_has_the_extent_of_its_items(self, result):
        outputs, _ = stage({"result": directory(result)})
        extent = texts(outputs["result"]["listing"])["collection.json"]["extent"]

        assert extent["spatial"]["bbox"] == [[1, 2, 3, 4]]
        assert extent["temporal"]["interval"] == [["2024-07-01T00:00:00Z", "2024-07-01T00:00:00Z"]]

    def test_an_item_that_lies_nowhere_is_on_the_earth(self, result):
        write(result, "a/a.json", item(assets={"index": "./index.csv"}))
        outputs, _ = stage({"result": directory(result)})

        extent = texts(outputs["result"]["listing"])["collection.json"]["extent"]
        assert extent["spatial"]["bbox"] == [[-180, -90, 180, 90]]

    def test_a_collection_of_the_tool_stays(self, result):
        write(result, "catalog.json", catalog([("child", "c.json")]))
        write(
            result,
            "c.json",
            catalog([("item", "a/a.json"), ("license", "https://host/l")], type="Collection", id="own"),
        )
        outputs, _ = stage({"result": directory(result)})
        found = texts(outputs["result"]["listing"])

        assert set(found) == {"catalog.json", "c.json", "a/a.json"}
        assert found["a/a.json"]["collection"] == "own"
        assert ("license", "https://host/l") in hrefs(found["c.json"])

    def test_what_is_no_catalog_stays_as_it_is(self, tmp_path, result):
        (tmp_path / "other").mkdir()
        outputs = {
            "number": 1,
            "file": {"class": "File", "location": file_uri(result / "a/index.csv")},
            "other": directory(tmp_path / "other"),
            "elsewhere": {"class": "Directory", "location": "s3://data/catalog"},
            "literal": {"class": "Directory", "basename": "l", "listing": []},
        }

        assert stage(outputs) == (outputs, frozenset())

    def test_catalogs_of_one_name_get_others(self, result):
        outputs, names = stage({"all": [directory(result), {"more": directory(result)}]})

        assert names == {"result", "2-result"}
        assert outputs["all"][1]["more"]["basename"] == "2-result"


class TestWhatIsNotTrusted:
    @pytest.mark.parametrize("href", ["../secret", "/etc/passwd", "file:///etc/passwd", "a/../../secret", "a/none"])
    @pytest.mark.parametrize("where", ["asset", "item"])
    def test_what_is_not_in_the_directory_is_refused(self, result, href, where):
        (result.parent / "secret").write_text("{}")
        if where == "asset":
            write(result, "a/a.json", item(assets={"index": f"../{href}" if href[0] in ".a" else href}))
        else:
            write(result, "catalog.json", catalog([("item", href)]))

        with pytest.raises(PublishError, match=r"the catalog result cannot be delivered: .* leads to"):
            stage({"result": directory(result)})

    def test_a_document_that_is_a_link_is_refused(self, result, tmp_path):
        (tmp_path / "other.json").write_text(json.dumps(item()))
        (result / "a/a.json").unlink()
        (result / "a/a.json").symlink_to(tmp_path / "other.json")

        with pytest.raises(PublishError, match=r"a/a.json is a link"):
            stage({"result": directory(result)})

    @pytest.mark.parametrize("bbox", ["west", [1, 2], ["a", "b", "c", "d"], [None] * 4])
    def test_a_box_that_is_none_is_the_whole_earth(self, result, bbox):
        write(result, "a/a.json", item(assets={"index": "./index.csv"}, bbox=bbox))

        outputs, _ = stage({"result": directory(result)})
        assert texts(outputs["result"]["listing"])["collection.json"]["extent"]["spatial"]["bbox"][0][0] == -180

    @pytest.mark.parametrize("document", [item(), catalog([("item", "a/a.json")], type="Collection")])
    def test_a_catalog_that_is_none_is_told(self, result, document):
        write(result, "catalog.json", {**document, "assets": {}})

        with pytest.raises(PublishError, match=r"the type of catalog.json is \w+, expected Catalog"):
            stage({"result": directory(result)})

    def test_links_in_a_circle_end(self, result):
        write(result, "catalog.json", catalog([("child", "catalog.json"), ("child", "b.json"), ("item", "a/a.json")]))
        write(result, "b.json", catalog([("child", "catalog.json")]))

        assert set(texts(stage({"result": directory(result)})[0]["result"]["listing"])) == {
            "catalog.json",
            "collection.json",
            "a/a.json",
        }


class TestDelivery:
    def test_a_directory_of_this_machine_gets_a_catalog_that_can_be_moved(self, result, tmp_path):
        destination = tmp_path / "out"
        outputs, _ = stage({"result": directory(result)}, destination)
        publish(outputs, destination, move_from=())
        moved = destination.rename(tmp_path / "moved")

        read = pystac.Catalog.from_file(str(moved / "result/catalog.json"))
        (collection,) = read.get_children()
        (found,) = collection.get_items()
        assert Path(found.assets["index"].get_absolute_href()).read_bytes() == b"1,2"
        assert str(tmp_path) not in (moved / "result/a/a.json").read_text()

    async def test_a_url_gets_it_whole_and_the_same_again(self, result, object_store):
        for _ in range(2):
            outputs, names = stage({"result": directory(result)})
            placed = await upload(outputs, Place("s3://data/out"), fixed=names)

        assert placed["result"]["location"] == "s3://data/out/result"
        assert object_store.keys("out/") == [
            "out/cwl-prefect-outputs.json",
            "out/result/a/a.json",
            "out/result/a/index.csv",
            "out/result/catalog.json",
            "out/result/collection.json",
        ]

    async def test_where_its_name_is_taken_nothing_is_delivered(self, result, object_store):
        object_store.put("out/result/catalog.json", b"of somebody else")
        outputs, names = stage({"result": directory(result)})

        with pytest.raises(PublishError, match="s3://data/out/result is taken, and the links of a catalog lead there"):
            await upload(outputs, Place("s3://data/out"), fixed=names)
        assert object_store.keys("out/") == ["out/result/catalog.json"]
