import os
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha1
from threading import Event

import pytest
from s3fs import S3FileSystem

from cwl_prefect.errors import StorageError
from cwl_prefect.storage import downloads as storage_downloads
from cwl_prefect.storage import transfer
from cwl_prefect.storage.downloads import Downloads, in_parallel
from cwl_prefect.storage.transfer import StoppedError
from tests.commands import PROJECT
from tests.waiting import until

CONTENT = bytes(range(256)) * 4000


@pytest.fixture
def downloads(tmp_path):
    return Downloads(directory=tmp_path / "downloads")


@pytest.fixture
def asked(object_store, monkeypatch):
    """Note what the store is asked for: names of requests."""
    names = []
    call = S3FileSystem._call_s3

    async def noted(self, method, *arguments, **options):
        names.append(method)
        return await call(self, method, *arguments, **options)

    monkeypatch.setattr(S3FileSystem, "_call_s3", noted)
    return names


def checksum(content):
    return f"sha1${sha1(content).hexdigest()}"


class TestFile:
    def test_a_file_is_read_once_and_then_asked_for_only(self, web, downloads):
        url = web.put("a", CONTENT)
        first = downloads.file(url, Event())
        again = downloads.file(url, Event())

        assert first == again
        assert first.path.read_bytes() == CONTENT
        assert first.checksum == checksum(CONTENT)
        assert web.reads("a") == [None]

    def test_an_object_of_a_store_is_read_by_one_request_and_then_asked_for_only(self, object_store, asked, downloads):
        url = object_store.put("a", CONTENT)
        first = downloads.file(url, Event())

        assert (first.path.read_bytes(), first.checksum) == (CONTENT, checksum(CONTENT))
        assert asked == ["get_object"]
        assert downloads.file(url, Event()) == first
        assert asked == ["get_object", "head_object"]

    def test_an_object_that_changed_is_read_again(self, object_store, downloads):
        old = downloads.file(object_store.put("a", b"old"), Event())
        new = downloads.file(object_store.put("a", b"new"), Event())

        assert (old.path.read_bytes(), new.path.read_bytes()) == (b"old", b"new")

    def test_a_large_object_of_a_store_comes_in_blocks(self, object_store, asked, downloads, monkeypatch):
        for module in (transfer, storage_downloads):
            monkeypatch.setattr(module, "BLOCK", 400_000)
        found = downloads.file(object_store.put("a", CONTENT), Event())

        assert (found.path.read_bytes(), found.checksum) == (CONTENT, checksum(CONTENT))
        assert asked == ["get_object"] * 3 + ["head_object"]  # whether it is still the same

    def test_an_object_that_changes_while_it_is_read_is_read_anew(self, object_store, downloads, monkeypatch):
        for module in (transfer, storage_downloads):
            monkeypatch.setattr(module, "BLOCK", 400_000)
        url = object_store.put("a", CONTENT)
        begin = storage_downloads.begun

        def then_changed(*arguments):
            found = begin(*arguments)
            object_store.put("a", CONTENT[::-1])
            return found

        monkeypatch.setattr(storage_downloads, "begun", then_changed)

        assert downloads.file(url, Event()).path.read_bytes() == CONTENT[::-1]

    def test_of_an_object_of_which_a_part_is_here_the_rest_is_stored(self, object_store, downloads, monkeypatch):
        url = object_store.put("a", CONTENT)
        found = downloads.file(url, Event()).path
        part = found.with_name(f"{'-'.join(found.name.split('-')[:2])}.part")
        part.write_bytes(CONTENT[:100])
        found.unlink()

        assert downloads.file(url, Event()).path.read_bytes() == CONTENT

    def test_what_changed_is_read_again_beside_what_it_was(self, web, downloads):
        url = web.put("a", b"old")
        old = downloads.file(url, Event())
        web.put("a", b"new")
        new = downloads.file(url, Event())

        assert (old.path.read_bytes(), new.path.read_bytes()) == (b"old", b"new")

    def test_of_what_has_no_version_nothing_is_known(self, web, downloads):
        web.etags = False
        url = web.put("a", b"old")
        downloads.file(url, Event())
        web.put("a", b"new")

        assert downloads.file(url, Event()).path.read_bytes() == b"new"

    def test_what_somebody_changed_here_is_read_again(self, web, downloads):
        url = web.put("a", b"content")
        found = downloads.file(url, Event())
        found.path.chmod(0o600)
        found.path.write_bytes(b"changed")
        os.utime(found.path, (1, 1))

        again = downloads.file(url, Event())
        assert (again.path.read_bytes(), again.checksum) == (b"content", checksum(b"content"))

    def test_it_is_for_the_user_alone_and_not_to_be_written(self, web, downloads):
        found = downloads.file(web.put("a", b"content"), Event())

        assert stat.S_IMODE(found.path.stat().st_mode) == 0o400
        assert stat.S_IMODE(found.path.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE((downloads.directory / "locks").stat().st_mode) == 0o600
        assert list(found.path.parent.iterdir()) == [found.path]

    def test_its_use_is_noted_and_its_time_of_change_stays(self, web, downloads):
        url = web.put("a", b"content")
        path = downloads.file(url, Event()).path
        changed = path.stat().st_mtime_ns
        os.utime(path, ns=(1, changed))
        downloads.file(url, Event())

        assert path.stat().st_atime_ns > 1
        assert path.stat().st_mtime_ns == changed

    def test_an_empty_file_is_a_file(self, web, object_store, downloads):
        for url in (web.put("a", b""), object_store.put("a", b"")):
            assert downloads.file(url, Event()).path.read_bytes() == b""

    def test_no_part_of_a_url_is_a_name_on_disk(self, web, downloads):
        downloads.file(f"{web.put('a', b'content')}?token=secret", Event())

        assert not [path for path in downloads.directory.rglob("*") if "secret" in str(path)]
        texts = [path.read_bytes() for path in downloads.directory.rglob("*") if path.is_file()]
        assert not any(b"secret" in text for text in texts)


class TestFailures:
    @pytest.mark.parametrize("status", [401, 403, 404, 410, 500])
    def test_the_page_of_an_error_is_no_file(self, web, downloads, status):
        url = web.put("a", b"content")
        web.refused["a"] = status

        with pytest.raises(StorageError, match=r"/a cannot be read"):
            downloads.file(url, Event())

        texts = [path.read_bytes() for path in downloads.directory.rglob("*") if path.is_file()]
        assert not any(b"sorry" in text for text in texts)

    @pytest.mark.parametrize(
        ("status", "says"),
        [
            (401, "there are no credentials"),
            (403, "you have no right to it"),
            (404, "there is no such object"),
            (410, "there is no such object"),
            (429, "the server is asked too often"),
            (503, "the server is asked too often"),
            (502, "the server does not answer"),
        ],
    )
    def test_a_status_is_told_in_words(self, web, downloads, status, says):
        web.refused["a"] = status

        with pytest.raises(StorageError, match=says):
            downloads.file(web.put("a", b"content"), Event())

    def test_a_server_that_is_asked_too_often_is_asked_again(self, web, downloads):
        web.refusals += [503, 429]

        assert downloads.file(web.put("a", b"content"), Event()).path.read_bytes() == b"content"

    def test_a_file_that_is_not_there_is_asked_for_once(self, web, downloads):
        with pytest.raises(StorageError):
            downloads.file(f"{web.address}/none", Event())

        assert [method for method, _, _ in web.asked] == ["HEAD", "GET"]  # some servers know no HEAD

    def test_a_cut_connection_is_gone_on_with(self, web, downloads):
        web.cuts += [400_000, 300_000]
        found = downloads.file(web.put("a", CONTENT), Event())

        assert (found.path.read_bytes(), found.checksum) == (CONTENT, checksum(CONTENT))
        begins = [0 if asked is None else int(asked.removeprefix("bytes=").rstrip("-")) for asked in web.reads("a")]
        assert begins[0] == 0
        assert 0 < begins[1] <= 400_000
        assert begins[1] < begins[2] <= 700_000

    def test_what_changed_since_the_cut_is_read_from_the_beginning(self, web, downloads):
        web.cuts.append(400_000)
        web.refusals += [200, *[500] * 9]
        url = web.put("a", CONTENT)
        with pytest.raises(StorageError):
            downloads.file(url, Event())
        web.refusals.clear()
        changed = web.put("a", CONTENT[::-1])

        assert downloads.file(changed, Event()).path.read_bytes() == CONTENT[::-1]

    def test_a_server_without_ranges_sends_it_anew(self, web, downloads):
        web.ranges = False
        web.cuts.append(400_000)

        assert downloads.file(web.put("a", CONTENT), Event()).path.read_bytes() == CONTENT

    def test_what_was_fetched_before_a_kill_is_not_read_again(self, web, downloads):
        url = web.put("a", CONTENT)
        web.cuts.append(400_000)
        web.refusals += [200, *[500] * 9]
        with pytest.raises(StorageError):
            downloads.file(url, Event())
        kept = next(downloads.directory.glob("*/*.part")).stat().st_size
        web.refusals.clear()
        downloads.file(url, Event())

        assert kept > 0
        assert web.reads("a")[-1] == f"bytes={kept}-"

    def test_no_room_is_told_before_anything_is_read(self, web, tmp_path):
        full = Downloads(directory=tmp_path, least_free_mib=1e12)

        with pytest.raises(StorageError, match=r"it needs 1 MiB, and \d+ MiB are free(?s:.*)cache gc --max-size"):
            full.file(web.put("a", CONTENT), Event())

        assert web.reads("a") == []

    def test_of_an_object_that_the_disk_does_not_take_no_byte_comes(self, object_store, tmp_path, monkeypatch):
        came, begin = [], storage_downloads.begun

        def noted(*arguments):
            found = begin(*arguments)
            came.append(len(found.beginning))
            return found

        monkeypatch.setattr(storage_downloads, "begun", noted)
        url = object_store.put("a", CONTENT)
        with pytest.raises(StorageError, match=r"it needs 1 MiB, and \d+ MiB are free"):
            Downloads(directory=tmp_path, least_free_mib=1e12).file(url, Event())
        assert Downloads(directory=tmp_path).file(url, Event()).path.read_bytes() == CONTENT
        assert came == [0, len(CONTENT)]

    def test_nobody_waits_for_what_was_stopped(self, web, downloads):
        web.held.clear()
        url, stop = web.put("a", CONTENT), Event()
        with ThreadPoolExecutor(1) as threads:
            fetching = threads.submit(downloads.file, url, stop)
            until(lambda: web.reads("a"))
            stop.set()
            web.held.set()

            with pytest.raises(StoppedError):
                fetching.result(30)

    def test_a_directory_is_no_file(self, object_store, downloads):
        object_store.put("dir/a", b"")

        with pytest.raises(StorageError, match=r"/dir cannot be read: there is a directory(?s:.*)class: Directory"):
            downloads.file(object_store.url("dir"), Event())


class TestSingleFlight:
    def test_threads_that_ask_at_once_read_once(self, web, downloads):
        web.held.clear()
        url = web.put("a", CONTENT)
        with ThreadPoolExecutor(6) as threads:
            found = [threads.submit(downloads.file, url, Event()) for _ in range(6)]
            until(lambda: len(web.asked) >= 7)  # six look, one reads
            web.held.set()
            paths = {each.result(30).path for each in found}

        assert len(paths) == 1
        assert web.reads("a") == [None]

    def test_threads_that_ask_a_store_at_once_read_once(self, object_store, asked, downloads):
        url = object_store.put("a", CONTENT)
        with ThreadPoolExecutor(6) as threads:
            paths = {found.path for found in threads.map(lambda _: downloads.file(url, Event()), range(6))}

        assert len(paths) == 1
        assert asked.count("get_object") == 1
        assert asked.count("head_object") == 5  # each shows that it may read it

    def test_another_process_reads_nothing_that_is_being_read(self, web, downloads):
        web.held.clear()
        url = web.put("a", CONTENT)
        script = (
            "import sys; from pathlib import Path; from threading import Event\n"
            "from cwl_prefect.storage.downloads import Downloads\n"
            "print(Downloads(directory=Path(sys.argv[1])).file(sys.argv[2], Event()).path)"
        )
        command = [sys.executable, "-c", script, str(downloads.directory), url]
        with ThreadPoolExecutor(1) as threads:
            here = threads.submit(downloads.file, url, Event())
            until(lambda: web.reads("a"))
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PROJECT) as other:
                until(lambda: [method for method, _, _ in web.asked].count("HEAD") >= 2)
                web.held.set()
                there, _ = other.communicate(timeout=60)

        assert there.strip() == str(here.result().path)
        assert web.reads("a") == [None]


class TestTree:
    def test_a_prefix_becomes_a_directory(self, object_store, downloads):
        for key in ("dir/a", "dir/b/c", "dir/", "dirty"):
            object_store.put(key, key.encode())
        tree = downloads.tree(object_store.url("dir"), Event())

        assert {str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file()} == {"a", "b/c"}
        assert (tree / "b/c").read_bytes() == b"dir/b/c"

    def test_each_file_of_it_is_asked_for_once(self, object_store, asked, downloads):
        for key in ("dir/a", "dir/b", "dir/c"):
            object_store.put(key, key.encode())
        downloads.tree(object_store.url("dir"), Event())

        assert [name for name in asked if name != "list_objects_v2"] == ["get_object"] * 3

    def test_what_did_not_change_is_not_read_again(self, object_store, downloads):
        object_store.put("dir/a", b"a")
        before = downloads.tree(object_store.url("dir"), Event())
        object_store.put("dir/b", b"b")
        after = downloads.tree(object_store.url("dir/"), Event())

        assert [path.name for path in before.iterdir()] == ["a"]
        assert sorted(path.name for path in after.iterdir()) == ["a", "b"]
        assert (before / "a").samefile(after / "a")

    def test_the_web_has_no_directories(self, web, downloads):
        with pytest.raises(StorageError, match=r"HTTP has no directories(?s:.*)listing of Files"):
            downloads.tree(web.put("dir", b"<a href='x'>"), Event())

    def test_a_prefix_with_nothing_below_it_is_an_error(self, object_store, downloads):
        with pytest.raises(StorageError, match=r"s3://data/none cannot be (read|listed)"):
            downloads.tree(object_store.url("none"), Event())

    @pytest.mark.parametrize("key", ["dir/../a", "dir/./a", "dir//a"])
    def test_names_that_lead_elsewhere_are_refused(self, object_store, downloads, key):
        object_store.put("dir/good", b"")
        object_store.put(key, b"")

        with pytest.raises(StorageError, match="is no path of a file"):
            downloads.tree(object_store.url("dir"), Event())

    def test_a_name_of_both_a_file_and_a_directory_is_an_error_and_leaves_no_half(self, object_store, downloads):
        object_store.put("dir/a", b"")
        object_store.put("dir/a/b", b"")

        with pytest.raises(StorageError, match="may not have the name of a directory"):
            downloads.tree(object_store.url("dir"), Event())

        assert not [path for path in downloads.directory.glob("*/*") if path.is_dir() and path.suffix != ".part"]


class TestInParallel:
    def test_results_are_by_item(self):
        assert in_parallel(lambda item: item * 2, [1, 2, 3], Event()) == {1: 2, 2: 4, 3: 6}

    def test_the_first_error_stops_the_others(self):
        stop, begun = Event(), threading.Event()

        def work(item):
            if item == "bad":
                begun.wait(30)
                raise ValueError("bad")
            begun.set()
            assert stop.wait(30)

        with pytest.raises(ValueError, match="bad"):
            in_parallel(work, ["slow", "bad"], stop)
