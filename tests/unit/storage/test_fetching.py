from hashlib import sha1
from threading import Event

import pytest

from cwl_prefect._lib.uris import path_of
from cwl_prefect.errors import InputError, StorageError
from cwl_prefect.storage.downloads import Downloads
from cwl_prefect.storage.fetching import fetched, names_remote


def fetch(value, tmp_path):
    told = {}
    downloads = Downloads(directory=tmp_path)
    here = fetched({"reads": value}, downloads, Event(), lambda path, checksum: told.update({path: checksum}))
    return here["reads"], told


def file(url, **further):
    return {"class": "File", "location": url, **further}


def test_files_at_all_depths_are_here(web, object_store, tmp_path):
    url, key = web.put("dir/a%20b.txt", b"a"), object_store.put("c.bam", b"c")
    value = {"one": [{"record": file(url)}], "two": file(key, secondaryFiles=[file(object_store.put("c.bai", b"i"))])}
    here, told = fetch(value, tmp_path)

    first, second = here["one"][0]["record"], here["two"]
    assert path_of(first["location"]).read_bytes() == b"a"
    assert (first["basename"], first["size"]) == ("a b.txt", 1)
    assert second["secondaryFiles"][0]["basename"] == "c.bai"
    assert path_of(second["secondaryFiles"][0]["location"]).read_bytes() == b"i"
    assert set(told.values()) == {f"sha1${sha1(text).hexdigest()}" for text in (b"a", b"c", b"i")}


def test_a_url_that_stands_there_six_times_is_read_once(web, tmp_path):
    url = web.put("a", b"a" * 20_000)
    here, _ = fetch([file(url, basename=f"{number}.txt") for number in range(6)], tmp_path)

    assert [found["basename"] for found in here] == [f"{number}.txt" for number in range(6)]
    assert len({found["location"] for found in here}) == 1
    assert len(web.asked) == 2


def test_a_directory_is_here(object_store, tmp_path):
    object_store.put("dir/a", b"a")
    here, told = fetch({"class": "Directory", "location": object_store.url("dir")}, tmp_path)

    assert (path_of(here["location"]) / "a").read_bytes() == b"a"
    assert here["basename"] == "dir"
    assert told == {path_of(here["location"]): None}


def test_what_is_here_stays(tmp_path):
    value = [file("file:///a"), {"class": "File", "basename": "b", "contents": "text"}, "s3://no/file", None]

    assert fetch(value, tmp_path)[0] == value
    assert not names_remote(value, catalogs=True)


def test_only_where_catalogs_are_staged_a_directory_may_be_a_document_of_this_machine(tmp_path):
    (tmp_path / "item.json").write_text("{}")
    value = {"class": "Directory", "location": (tmp_path / "item.json").as_uri()}

    assert names_remote(value, catalogs=True)
    assert not names_remote(value, catalogs=False)


def test_a_path_that_is_a_url_counts_too(web, tmp_path):
    here, _ = fetch({"class": "File", "path": web.put("a", b"a")}, tmp_path)

    assert "path" not in here
    assert path_of(here["location"]).read_bytes() == b"a"


def test_a_checksum_that_somebody_gave_is_looked_at(web, tmp_path):
    url = web.put("a", b"a")
    good = f"sha1${sha1(b'a').hexdigest()}"
    assert fetch(file(url, checksum=good), tmp_path)[0]["checksum"] == good

    with pytest.raises(InputError, match=r"^input reads: http.*/a: its checksum is sha1\$\w+, expected sha1\$0"):
        fetch(file(url, checksum="sha1$0"), tmp_path)


def test_what_is_not_there_is_told_with_its_input(web, tmp_path):
    with pytest.raises(
        StorageError, match=r"^input reads: http.*/nothing cannot be read: there is no such object"
    ) as told:
        fetch(file(f"{web.put('a', b'a')}/nothing"), tmp_path)
    assert told.value.missing
