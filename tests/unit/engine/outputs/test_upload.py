import json
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from cwl_prefect._lib.hashing import checksum_of
from cwl_prefect.engine.outputs.publish import MANIFEST
from cwl_prefect.engine.outputs.upload import REPLACED, demand_writable, upload
from cwl_prefect.errors import PublishError, StorageError
from cwl_prefect.storage.uploads import Place, Upload

URL = "memory://out/1"


class Store(Place):
    """A place in memory that fails after so many objects, and remembers in which order it was written."""

    def __init__(self) -> None:
        self.memory = MemoryFileSystem(skip_instance_cache=True)
        self.memory.store, self.memory.pseudo_dirs = {}, [""]
        super().__init__(URL, (self.memory, "/out/1"))
        self.written: list[str] = []
        self.most: int | None = None

    async def _upload(self, upload: Upload, *, exclusive: bool) -> bool:
        if self.most is not None and len(self.written) >= self.most:
            raise StorageError("the store is full", hint="make room.")
        self.written.append(upload.target)
        return await super()._upload(upload, exclusive=exclusive)

    def put(self, name: str, content: bytes = b"other") -> None:
        self.memory.pipe_file(f"/out/1/{name}", content)

    @property
    def content(self) -> dict[str, bytes]:
        """All that is there."""
        return {name.removeprefix("/out/1/"): self.memory.cat_file(name) for name in self.memory.find("/out/1")}


@pytest.fixture
def store() -> Store:
    return Store()


def file(path: Path, content: str = "text", **more: object) -> dict[str, object]:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return {"class": "File", "location": path.as_uri(), **more}


def told(name: str, content: str = "text", **more: object) -> dict[str, object]:
    """What is said of a file that was delivered."""
    return {
        "class": "File",
        "location": f"{URL}/{name}",
        "basename": name.rpartition("/")[2],
        "size": len(content),
        "checksum": checksum_of(content.encode()),
        **more,
    }


async def test_files_are_told_by_url_at_every_depth(store: Store, tmp_path: Path) -> None:
    index = file(tmp_path / "reads.bam.bai", "index")
    outputs = {
        "reads": [file(tmp_path / "reads.bam", secondaryFiles=[index], format="edam:2572")],
        "tree": {"class": "Directory", "location": (tmp_path / "tree").as_uri()},
        "made": {"class": "Directory", "basename": "made", "listing": [file(tmp_path / "a")]},
        "text": {"class": "File", "basename": "b c.json", "contents": "{}"},
        "count": 3,
        "far": {"class": "File", "location": "https://host/far"},
    }
    file(tmp_path / "tree" / "deep" / "x", "x")
    (tmp_path / "tree" / "empty").mkdir()

    placed = await upload(outputs, store)

    def directory(name: str, listing: list[object]) -> dict[str, object]:
        base = name.rpartition("/")[2]
        return {"class": "Directory", "location": f"{URL}/{name}", "basename": base, "listing": listing}

    assert placed == {
        "reads": [told("reads.bam", secondaryFiles=[told("reads.bam.bai", "index")], format="edam:2572")],
        "tree": directory("tree", [directory("tree/deep", [told("tree/deep/x", "x")]), directory("tree/empty", [])]),
        "made": directory("made", [told("made/a")]),
        "text": told("b c.json", "{}"),
        "count": 3,
        "far": {"class": "File", "location": "https://host/far"},
    }
    assert json.loads(store.content.pop(MANIFEST)) == placed
    assert {name: content for name, content in store.content.items() if name != MANIFEST} == {
        "reads.bam": b"text",
        "reads.bam.bai": b"index",
        "tree/deep/x": b"x",
        "made/a": b"text",
        "b c.json": b"{}",
    }
    assert (tmp_path / "reads.bam").exists()


async def test_the_manifest_comes_last(store: Store, tmp_path: Path) -> None:
    await upload({"many": [file(tmp_path / f"{number}") for number in range(5)]}, store)
    assert store.written[-1] == MANIFEST


@pytest.mark.parametrize("most", range(4))
async def test_what_was_uploaded_before_a_failure_is_not_uploaded_again(
    store: Store, tmp_path: Path, most: int
) -> None:
    outputs = {"many": [file(tmp_path / f"{number}", f"{number}") for number in range(3)]}
    store.most = most
    with pytest.raises(PublishError, match=f"cannot be written to {URL}: the store is full") as failed:
        await upload(outputs, store)
    assert failed.value.hint == "make room."
    assert MANIFEST not in store.content
    done, store.written, store.most = store.written, [], None

    placed = await upload(outputs, store)

    assert sorted([*done, *store.written]) == ["0", "1", "2", MANIFEST]
    assert placed == {"many": [told(f"{number}", f"{number}") for number in range(3)]}


async def test_nothing_is_uploaded_twice(store: Store, tmp_path: Path) -> None:
    outputs = {"a": file(tmp_path / "a"), "again": file(tmp_path / "a")}
    placed = await upload(outputs, store)
    assert await upload(outputs, store) == placed
    assert store.written == ["a", MANIFEST]


async def test_what_is_there_stays_and_the_output_gets_another_name(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a", "a_2", "tree/other", MANIFEST):
        store.put(name)
    file(tmp_path / "tree" / "mine")
    tree = {"class": "Directory", "location": (tmp_path / "tree").as_uri()}
    before = store.content

    placed = await upload({"a": file(tmp_path / "a"), "tree": tree}, store)

    assert placed["a"] == told("a_3", basename="a")
    assert {name: content for name, content in store.content.items() if name in before} == before
    assert store.content.keys() - before.keys() == {"a_3", "tree_2/mine", "cwl-prefect-outputs_2.json"}
    assert f"{URL}/a is there already with another content; the output has another name" in caplog.text


async def test_what_is_there_is_replaced_where_it_may_be(store: Store, tmp_path: Path) -> None:
    file(tmp_path / "old" / "tree" / "gone")
    old = {"class": "Directory", "location": (tmp_path / "old" / "tree").as_uri()}
    await upload({"a": file(tmp_path / "old" / "a", "old"), "tree": old, "z": file(tmp_path / "z")}, store)
    store.put("mine")
    file(tmp_path / "tree" / "new")
    tree = {"class": "Directory", "location": (tmp_path / "tree").as_uri()}
    outputs = {"a": file(tmp_path / "a"), "tree": tree}
    store.most = len(store.written) + 2  # killed once the earlier manifest is gone
    with pytest.raises(PublishError):
        await upload(outputs, store, overwrite=True)
    assert MANIFEST not in store.content
    store.most = None

    placed = await upload(outputs, store, overwrite=True)

    assert json.loads(store.content[MANIFEST]) == placed
    assert store.content.keys() == {"a", "tree/new", "z", "mine", MANIFEST}
    assert REPLACED not in store.content


async def test_a_directory_with_what_others_put_there_is_never_replaced(store: Store, tmp_path: Path) -> None:
    store.put("tree/precious")
    file(tmp_path / "tree" / "new")
    tree = {"class": "Directory", "location": (tmp_path / "tree").as_uri()}
    await upload({"tree": tree}, store, overwrite=True)
    assert store.content.keys() == {"tree/precious", "tree_2/new", MANIFEST}


async def test_inputs_of_the_run_are_never_replaced(store: Store, tmp_path: Path) -> None:
    store.put("reads", b"input")
    inputs = {"reads": {"class": "File", "location": f"{URL}/reads"}}
    placed = await upload({"reads": file(tmp_path / "reads")}, store, inputs=inputs, overwrite=True)
    assert placed == {"reads": told("reads_2", basename="reads")}
    assert store.content["reads"] == b"input"


async def test_an_output_that_is_gone_is_told(store: Store, tmp_path: Path) -> None:
    with pytest.raises(PublishError, match=r"the outputs cannot be read: .*No such file"):
        await upload({"a": {"class": "File", "location": (tmp_path / "a").as_uri()}}, store)


async def test_a_name_that_is_no_text_is_refused(store: Store, tmp_path: Path) -> None:
    file(tmp_path / "b\udcff")
    with pytest.raises(PublishError, match=r"the name 'b\\udcff', which is no text in UTF-8"):
        await upload({"a": {"class": "File", "path": str(tmp_path / "b\udcff")}}, store)
    assert store.content == {}


async def test_a_place_is_tried_before_anything_is_run_for_it(store: Store) -> None:
    await demand_writable(store, "r1", again=False, overwrite=False)
    assert store.written == [".cwl-prefect-write-check-r1"]
    assert store.content == {}


async def test_results_of_another_run_are_told_before_anything_is_run(store: Store) -> None:
    store.put(MANIFEST)
    with pytest.raises(PublishError, match=f"{URL} holds the results of another run") as refused:
        await demand_writable(store, "r1", again=False, overwrite=False)
    assert "--overwrite" in str(refused.value.hint)
    await demand_writable(store, "r1", again=True, overwrite=False)
    await demand_writable(store, "r1", again=False, overwrite=True)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (StorageError("s3://b/x: gone", missing=True), "there is no such bucket"),
        (StorageError("s3://b/x: you have no right to it.", hint="ask."), "you have no right to it"),
    ],
)
async def test_a_place_that_cannot_be_written_is_told(
    store: Store, monkeypatch: pytest.MonkeyPatch, error: StorageError, said: str
) -> None:
    async def failing(*_: object, **__: object) -> bool:
        raise error

    monkeypatch.setattr(store, "_upload", failing)
    with pytest.raises(PublishError, match=f"the outputs cannot be written to {URL}: .*{said}"):
        await demand_writable(store, "r1", again=False, overwrite=False)
