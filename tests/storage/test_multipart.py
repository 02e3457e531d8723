"""Uploads in parts: what does not become whole leaves nothing in the store."""

import asyncio
import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from fsspec import AbstractFileSystem

from cwl_prefect.storage import multipart
from cwl_prefect.storage.filesystems import filesystem
from cwl_prefect.storage.multipart import Journal, end_abandoned, put_in_parts
from tests.object_store import ObjectStore

PART = 5 * 1024 * 1024  # the least that S3 takes
CONTENT = bytes(range(256)) * (12 * 4096)
DAY_S = 86_400.0
CENTURY_S = 36_525 * DAY_S  # the store of tests says of every upload that it was begun in 2010


Stopping = Callable[[BaseException | None], asyncio.Event]


@pytest.fixture(autouse=True)
def _parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart, "part_size", lambda _: PART)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "large.txt"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "run/.uploads")


@pytest.fixture
def files(object_store: ObjectStore) -> AbstractFileSystem:
    return filesystem(object_store.url("out"))[0]


@pytest.fixture
def stopping(
    files: AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> Callable[[BaseException | None], asyncio.Event]:
    """Let the second part of a file fail, or wait for ever once it is told to an event."""

    def stopping(failure: BaseException | None) -> asyncio.Event:
        asked, reached, loop = files._call_s3, asyncio.Event(), asyncio.get_running_loop()

        async def call(method: str, *arguments: object, **options: object) -> object:
            if method == "upload_part" and options["PartNumber"] == 2:
                loop.call_soon_threadsafe(reached.set)
                if failure is not None:
                    raise failure
                await asyncio.Event().wait()
            return await asked(method, *arguments, **options)

        monkeypatch.setattr(files, "_call_s3", call)
        return reached

    return stopping


async def test_a_whole_file_leaves_nothing_beside_it(files, object_store, source, journal):
    await put_in_parts(files, source, "data/out/large.txt", exclusive=True, journal=journal)

    assert object_store.content("out/large.txt") == CONTENT
    assert (object_store.uploads(), list(journal.left())) == ([], [])


async def test_what_is_there_stays_where_it_has_to_be_new(files, object_store, source, journal):
    object_store.put("out/large.txt", b"mine")

    with pytest.raises(FileExistsError):
        await put_in_parts(files, source, "data/out/large.txt", exclusive=True, journal=journal)

    assert object_store.content("out/large.txt") == b"mine"
    assert (object_store.uploads(), list(journal.left())) == ([], [])


async def test_a_part_that_fails_ends_the_upload(files, object_store, source, journal, stopping):
    stopping(PermissionError("no"))

    with pytest.raises(PermissionError):
        await put_in_parts(files, source, "data/out/large.txt", journal=journal)

    assert (object_store.uploads(), object_store.keys(), list(journal.left())) == ([], [], [])


async def test_whoever_is_cancelled_ends_the_upload(files, object_store, source, journal, stopping):
    reached = stopping(None)
    uploading = asyncio.create_task(put_in_parts(files, source, "data/out/large.txt", journal=journal))
    await reached.wait()
    assert object_store.uploads() == ["out/large.txt"]
    assert [url for _, url, _ in journal.left()] == ["s3://data/out/large.txt"]

    uploading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await uploading

    assert (object_store.uploads(), object_store.keys(), list(journal.left())) == ([], [], [])


async def test_whoever_is_cancelled_while_it_is_begun_ends_it_too(files, object_store, source, journal, monkeypatch):
    asked, began, loop = files._call_s3, asyncio.Event(), asyncio.get_running_loop()

    async def call(method: str, *arguments: object, **options: object) -> object:
        answer = await asked(method, *arguments, **options)
        if method == "create_multipart_upload":
            loop.call_soon_threadsafe(began.set)
            await asyncio.sleep(0.2)
        return answer

    monkeypatch.setattr(files, "_call_s3", call)
    uploading = asyncio.create_task(put_in_parts(files, source, "data/out/large.txt", journal=journal))
    await began.wait()

    uploading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await uploading

    assert (object_store.uploads(), list(journal.left())) == ([], [])


def test_what_a_killed_process_left_is_ended_and_nothing_else(files, object_store, journal):
    begun = {name: _begun(files, f"out/{name}") for name in ("a", "b", "a.other")}
    noted(journal, "out/a", begun["a"])
    noted(journal, "out/a", "ended-long-ago")
    (journal.directory / "0-torn").write_text("{")

    assert journal.end_left() == 2

    assert object_store.uploads() == ["out/b", "out/a.other"]
    assert list(journal.left()) == []


def test_what_was_killed_as_the_store_told_the_identifier_is_ended_by_its_key(files, object_store, journal):
    for name in ("a", "a.other"):
        _begun(files, f"out/{name}")
    journal.begins("s3://data/out/a")

    assert journal.end_left() == 1

    assert object_store.uploads() == ["out/a.other"]
    assert list(journal.left()) == []


def test_what_the_store_does_not_end_is_told_and_stays_written_down(object_store, journal, monkeypatch, caplog):
    noted(journal, "out/a", "one")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")

    with caplog.at_level(logging.WARNING):
        assert journal.end_left() == 0

    assert "an unfinished upload stays in the object store: s3://data/out/a cannot be ended" in caplog.text
    assert len(list(journal.left())) == 1


def test_uploads_below_a_prefix_are_ended_once_they_are_old(files, object_store):
    for name in ("ws/blobs/a", "ws/blobs/b", "ws2/c"):
        _begun(files, name)
    url = object_store.url("ws")

    assert end_abandoned(url, age_s=CENTURY_S) == 0
    assert end_abandoned(url, age_s=DAY_S, dry_run=True) == 2
    assert len(object_store.uploads()) == 3
    assert end_abandoned(f"{url}/", age_s=DAY_S) == 2
    assert object_store.uploads() == ["ws2/c"]


def _begun(files: AbstractFileSystem, key: str) -> str:
    return files.call_s3("create_multipart_upload", Bucket="data", Key=key)["UploadId"]


def noted(journal: Journal, key: str, upload: str) -> None:
    mark = journal.begins(f"s3://data/{key}")
    mark.write_text(json.dumps({"url": f"s3://data/{key}", "upload": upload}))
