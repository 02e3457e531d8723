import asyncio
import hashlib
import threading
from pathlib import Path

import boto3
import pytest
from fsspec.callbacks import Callback
from fsspec.implementations.memory import MemoryFileSystem

from cwl_prefect._lib.hashing import checksum_of
from cwl_prefect.errors import StorageError
from cwl_prefect.storage import digests, multipart, uploads
from cwl_prefect.storage.uploads import Place, Standing, Upload
from tests.object_store import ObjectStore

SIX_MIB = bytes(range(256)) * 4096 * 6
PART = 5 * 1024 * 1024  # the least that S3 takes


def upload(target: str, content: bytes = b"text", source: Path | None = None) -> Upload:
    if source is not None:
        source.write_bytes(content)
    return Upload(target=target, source=source or content, size=len(content), checksum=checksum_of(content))


@pytest.fixture(params=["memory", "s3"])
def place(request: pytest.FixtureRequest) -> Place:
    """An empty place of a file system that is not asynchronous, and of an object store."""
    if request.param == "memory":
        memory = MemoryFileSystem(skip_instance_cache=True)
        memory.store, memory.pseudo_dirs = {}, [""]
        return Place("memory://out/1", (memory, "/out/1"))
    store: ObjectStore = request.getfixturevalue("object_store")
    return Place(store.url("out/1"))


@pytest.fixture
def s3(object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Place:
    """An empty place of an object store that takes files of more than 5 MiB in parts."""
    for module in (digests, multipart, uploads):
        monkeypatch.setattr(module, "part_size", lambda _: PART)
    return Place(object_store.url("out/1"))


async def test_files_and_texts_are_uploaded_at_every_depth(place: Place, tmp_path: Path) -> None:
    wanted = [
        upload("a.txt", b"a", tmp_path / "x"),
        upload("deep/er/b #%41ü.txt", b"b", tmp_path / "y"),
        upload("c.json", b"{}"),
        upload("empty", b""),
    ]
    await place.upload(wanted)
    assert await place.names() == {"a.txt", "deep", "c.json", "empty"}
    assert [await place.read(each.target) for each in wanted] == [b"a", b"b", b"{}", b""]
    assert await place.standing(wanted) == Standing(there=frozenset(each.target for each in wanted))


async def test_what_is_there_is_told_by_its_content(place: Place) -> None:
    await place.upload([upload("same"), upload("other", b"1234"), upload("longer", b"12345"), upload("dir/stranger")])
    wanted = [upload("same"), upload("other"), upload("longer"), upload("dir/mine"), upload("new")]
    standing = await place.standing(wanted)
    assert standing == Standing(
        there=frozenset({"same"}),
        different=frozenset({"other", "longer"}),
        strangers=frozenset({"dir/stranger"}),
    )


async def test_nothing_is_there_at_first(place: Place) -> None:
    assert await place.names() == frozenset()
    assert await place.read("a") is None
    assert await place.standing([upload("a")]) == Standing()


async def test_what_is_there_is_replaced_only_where_it_may_be(place: Place) -> None:
    await place.upload([upload("a", b"old!"), upload("b", b"old!")])
    await place.upload([upload("a", b"new!")], replaced={"a"})
    with pytest.raises(StorageError, match="/b does not hold what was uploaded"):
        await place.upload([upload("b", b"new!")])
    assert (await place.read("a"), await place.read("b")) == (b"new!", b"old!")


async def test_objects_are_removed_that_are_there(place: Place) -> None:
    await place.upload([upload("a"), upload("b")])
    await place.remove(["a", "c"])
    assert await place.names() == {"b"}


async def test_a_file_that_changed_since_its_checksum_was_taken_is_not_uploaded(place: Place, tmp_path: Path) -> None:
    changed = upload("a", b"text", tmp_path / "a")
    (tmp_path / "a").write_bytes(b"longer")
    with pytest.raises(StorageError, match="has 6 bytes where 4 were to be uploaded"):
        await place.upload([changed])
    assert await place.names() == frozenset()


async def test_large_files_go_in_parts_and_are_known_again(
    s3: Place, object_store: ObjectStore, tmp_path: Path
) -> None:
    large = upload("large", SIX_MIB * 2, tmp_path / "large")
    await s3.upload([large])
    assert hashlib.md5(object_store.content("out/1/large")).digest() == hashlib.md5(SIX_MIB * 2).digest()
    info = boto3.client("s3", endpoint_url=object_store.endpoint).head_object(Bucket="data", Key="out/1/large")
    assert info["ETag"].endswith('-3"')
    reads: list[object] = []

    async def never(*given: object) -> str:
        reads.append(given)
        return ""

    s3._checksum = never  # type: ignore[method-assign]
    assert (await s3.standing([large])).there == {"large"}
    assert reads == []


async def test_an_object_with_a_digest_of_another_kind_is_read_back(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    await place.upload([upload("a")])
    monkeypatch.setattr(uploads, "told_digest", lambda _: f"{'0' * 32}")
    assert (await place.standing([upload("a")])).there == {"a"}
    assert (await place.standing([upload("a", b"1234")])).different == {"a"}


async def test_what_was_damaged_on_its_way_is_told(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    put = uploads.put

    async def damaging(filesystem: object, source: Path, path: str, **options: object) -> None:
        damaged = source.with_name("damaged")
        damaged.write_bytes(source.read_bytes()[:-1])
        await put(filesystem, damaged, path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(uploads, "put", damaging)
    with pytest.raises(StorageError, match="or it was damaged on its way"):
        await place.upload([upload("a")])


async def test_a_store_that_knows_no_conditions_is_written_without(s3: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    put = uploads.put

    async def refusing(filesystem: object, source: Path, path: str, **options: object) -> None:
        if "mode" in options:
            cause = OSError()
            cause.response = {"Error": {"Code": "NotImplemented"}}  # type: ignore[attr-defined]
            raise OSError("conditions") from cause
        await put(filesystem, source, path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(uploads, "put", refusing)
    await s3.upload([upload("a")])
    assert await s3.read("a") == b"text"


async def test_the_mark_of_a_directory_is_no_object(s3: Place, object_store: ObjectStore) -> None:
    object_store.put("out/1/dir/", b"")
    assert await s3.standing([upload("dir/a")]) == Standing()


async def test_a_server_gets_a_file_whole_by_its_last_name() -> None:
    memory = MemoryFileSystem(skip_instance_cache=True)
    memory.store, memory.pseudo_dirs = {}, [""]
    server = Place("sftp://host/out", (memory, "/out"))
    await server.upload([upload("dir/a")])
    assert list(memory.find("/")) == ["/out/dir/a"]
    memory.pipe_file("/out/dir/.cwl-prefect-part-b", b"half")  # as a killed upload leaves it
    assert (await server.standing([upload("dir/a")])) == Standing(there=frozenset({"dir/a"}))


async def test_few_files_are_on_their_way_at_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    under_way, most = 0, 0

    async def counting(*_: object, **__: object) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1

    monkeypatch.setattr(uploads, "put", counting)
    with pytest.raises(StorageError):  # nothing arrived
        await place.upload([upload(f"{number}") for number in range(40)])
    assert most == (uploads.AT_ONCE if place.url.startswith("s3") else 1)


async def test_the_first_failure_ends_the_rest_and_names_the_object(object_store: ObjectStore) -> None:
    with pytest.raises(StorageError, match=r"s3://nobody/x/[ab] cannot be written: there is no such object") as failed:
        await Place("s3://nobody/x").upload([upload("a"), upload("b")])
    assert failed.value.missing


async def test_whoever_is_cancelled_does_not_wait_for_what_is_on_its_way(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, began, go_on = asyncio.Event(), asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    filesystem = place._filesystem

    def blocking(*_: object, callback: Callback, **__: object) -> None:
        loop.call_soon_threadsafe(began.set)
        go_on.wait()
        callback.relative_update(1)
        raise AssertionError("it went on")

    async def endless(*_: object, **__: object) -> None:
        loop.call_soon_threadsafe(began.set)
        try:
            await asyncio.Event().wait()
        finally:
            loop.call_soon_threadsafe(waiting.set)

    monkeypatch.setattr(filesystem, "put_file", blocking)
    monkeypatch.setattr(filesystem, "_put_file", endless, raising=False)
    uploading = asyncio.create_task(place.upload([upload("a", b"text", tmp_path / "a")]))
    await began.wait()

    uploading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await uploading

    go_on.set()
    if filesystem.async_impl:
        await waiting.wait()
