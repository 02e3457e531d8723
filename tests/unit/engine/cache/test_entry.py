"""Outputs are described without their place, and come back at another as the call would have left them."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cwl_prefect.engine.cache.checksums import Checksums
from cwl_prefect.engine.cache.entry import SMALL_FILE, capture, decode_entry, encode_entry, restore
from cwl_prefect.engine.cache.fingerprint import NotReusableError
from cwl_prefect.engine.cache.store import DamagedError, LocalStore
from cwl_prefect.model.cache import BrokenLink, CacheEntry, CallKey, StoredFile, StoredLink

LARGE = "x" * (SMALL_FILE + 1)


class Cache:
    """Keeps outputs of one directory and gives them back in another."""

    def __init__(self, directory: Path) -> None:
        self.out = directory / "first"
        self.back = directory / "second"
        self.out.mkdir()
        self.checksums = Checksums(None)
        self.store = LocalStore(directory / "cache", self.checksums)

    def write(self, name: str, content: str = "content") -> dict:
        path = self.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        checksum = f"sha1${hashlib.sha1(content.encode()).hexdigest()}"
        return {
            "class": "File",
            "location": path.as_uri(),
            "path": str(path),
            "dirname": str(path.parent),
            "basename": path.name,
            "checksum": checksum,
            "size": len(content),
        }

    def entry(self, outputs: dict, inputs: list | None = None) -> CacheEntry:
        found = capture(outputs, self.out, inputs or [], self.checksums)
        entry = CacheEntry(
            key=CallKey(digest="k" * 64, parts={"scheme": 1}),
            step="align",
            tool="bwa",
            run_id="r",
            created_at=1.5,
            duration_s=2.5,
            outputs=found.outputs,
            files=tuple(found.files.values()),
            directories=tuple(found.directories),
            links=tuple(found.links.values()),
            broken_links=tuple(found.broken_links.values()),
        )
        for file in entry.files:
            if file.content is None:
                self.store.put(file, self.out / file.path)
        decoded = decode_entry("k" * 64, encode_entry(entry))
        assert decoded == entry
        return entry

    def restored(self, entry: CacheEntry, inputs: list | None = None) -> dict:
        return restore(entry, self.back, inputs or [], self.store, self.checksums)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path)


@pytest.mark.parametrize("content", ["", "content", LARGE], ids=["empty", "small", "large"])
def test_a_file_comes_back_elsewhere(cache: Cache, content: str):
    entry = cache.entry({"o": cache.write("a b#c/x.txt", content)})
    (found,) = cache.restored(entry).values()
    assert found["location"] == (cache.back / "a b#c/x.txt").as_uri()
    assert (cache.back / "a b#c/x.txt").read_text() == content
    assert "path" not in found
    assert found["basename"] == "x.txt"
    assert found["size"] == len(content)


def test_an_entry_names_no_place(cache: Cache, tmp_path: Path):
    entry = cache.entry({"o": cache.write("x"), "d": {"class": "Directory", "location": cache.out.as_uri()}})
    assert str(tmp_path).encode() not in encode_entry(entry)


def test_only_small_files_lie_in_the_entry(cache: Cache):
    entry = cache.entry({"o": [cache.write("small"), cache.write("large", LARGE)]})
    assert [file.content is None for file in entry.files] == [False, True]
    assert len(list(cache.store.objects())) == 1


def test_values_and_literals_stay_as_they_are(cache: Cache):
    outputs = {
        "n": 1,
        "none": None,
        "list": [1.5, "a", {"b": True}],
        "literal": {"class": "File", "basename": "x", "contents": "text"},
        "numbered": {"class": "Directory", "location": "_:1", "basename": "d", "listing": []},
    }
    assert cache.restored(cache.entry(outputs)) == outputs
    assert not cache.back.exists()


def test_secondary_files_come_too(cache: Cache):
    main = {**cache.write("x.bam"), "secondaryFiles": [cache.write("x.bam.bai", "index")]}
    (found,) = cache.restored(cache.entry({"o": main})).values()
    assert Path(found["secondaryFiles"][0]["location"].removeprefix("file://")).read_text() == "index"


def test_a_directory_comes_back_whole(cache: Cache):
    cache.write("d/inner/x")
    cache.write("d/.hidden")
    (cache.out / "d" / "empty").mkdir()
    (cache.out / "d" / "to x").symlink_to("inner/x")
    (cache.out / "d" / "broken").symlink_to("nowhere")
    listing = [cache.write("d/inner/y", LARGE)]
    directory = {"class": "Directory", "location": (cache.out / "d").as_uri(), "basename": "d", "listing": listing}
    (found,) = cache.restored(cache.entry({"o": directory})).values()
    names = sorted(str(path.relative_to(cache.back)) for path in cache.back.rglob("*"))
    assert names == ["d", "d/.hidden", "d/broken", "d/empty", "d/inner", "d/inner/x", "d/inner/y", "d/to x"]
    assert (cache.back / "d/to x").read_text() == "content"
    assert str((cache.back / "d/broken").readlink()) == "nowhere"
    assert found["listing"][0]["location"] == (cache.back / "d/inner/y").as_uri()


@pytest.mark.parametrize("listed", [False, True])
def test_a_link_that_leads_nowhere_stays_as_it_is(cache: Cache, listed: bool):
    cache.write("d/x")
    (cache.out / "d" / "python").symlink_to("/opt/only-in-image/\udcff")
    listing = [{"class": "File", "location": (cache.out / "d" / "python").as_uri(), "basename": "python"}]
    directory = {"class": "Directory", "location": (cache.out / "d").as_uri(), "basename": "d"}
    cache.restored(cache.entry({"o": {**directory, "listing": listing} if listed else directory}))
    assert str((cache.back / "d" / "python").readlink()) == "/opt/only-in-image/\udcff"


def test_an_entry_with_a_link_that_would_lead_somewhere_here_is_not_used(cache: Cache, tmp_path: Path):
    cache.write("d/x")
    (cache.out / "d" / "link").symlink_to(tmp_path / "later")
    entry = cache.entry({"o": {"class": "Directory", "location": (cache.out / "d").as_uri(), "basename": "d"}})
    (tmp_path / "later").write_text("not of the call")
    with pytest.raises(OSError, match="would lead to"):
        cache.restored(entry)


def test_the_whole_output_directory_may_be_an_output(cache: Cache):
    cache.write("x")
    found = cache.restored(cache.entry({"o": {"class": "Directory", "location": cache.out.as_uri(), "basename": "o"}}))
    assert found["o"]["location"].rstrip("/") == cache.back.as_uri()
    assert (cache.back / "x").read_text() == "content"


def test_a_file_stays_executable(cache: Cache):
    value = cache.write("run.sh")
    (cache.out / "run.sh").chmod(0o750)
    cache.restored(cache.entry({"o": value}))
    assert (cache.back / "run.sh").stat().st_mode & 0o100


class TestInputsPassedOn:
    @pytest.fixture
    def inputs(self, tmp_path: Path) -> list[dict]:
        (tmp_path / "in" / "d").mkdir(parents=True)
        (tmp_path / "in" / "x").write_text("input")
        (tmp_path / "in" / "d" / "y").write_text("inside")
        return [
            {"class": "File", "location": (tmp_path / "in" / "x").as_uri()},
            {"class": "Directory", "location": (tmp_path / "in" / "d").as_uri()},
        ]

    @pytest.fixture
    def moved(self, tmp_path: Path, inputs: list[dict]) -> list[dict]:
        (tmp_path / "in").rename(tmp_path / "elsewhere")
        return [{**value, "location": value["location"].replace("/in/", "/elsewhere/")} for value in inputs]

    def test_one_at_its_own_place(self, cache: Cache, inputs: list[dict], tmp_path: Path):
        outputs = {"o": inputs[0], "p": {"class": "File", "location": (tmp_path / "in/d/y").as_uri()}}
        entry = cache.entry(outputs, inputs)
        moved = [{**value, "location": value["location"].replace("/in/", "/elsewhere/")} for value in inputs]
        found = cache.restored(entry, moved)
        assert found["o"]["location"] == (tmp_path / "elsewhere/x").as_uri()
        assert found["p"]["location"] == (tmp_path / "elsewhere/d/y").as_uri()
        assert entry.files == ()

    def test_one_that_is_a_link_in_the_output_directory(self, cache: Cache, inputs: list[dict], tmp_path: Path):
        (cache.out / "linked").symlink_to(tmp_path / "in" / "x")
        entry = cache.entry({"o": {"class": "File", "location": (cache.out / "linked").as_uri()}}, inputs)
        assert entry.links == (StoredLink(path="linked", number=0),)
        cache.restored(entry, inputs)
        assert (cache.back / "linked").readlink() == tmp_path / "in" / "x"

    def test_an_entry_that_does_not_fit_the_inputs_is_damaged(self, cache: Cache, inputs: list[dict]):
        entry = cache.entry({"o": inputs[0]}, inputs)
        with pytest.raises(DamagedError, match="no input 0"):
            cache.restored(entry, [])


def test_an_output_from_anywhere_else_is_not_kept(cache: Cache, tmp_path: Path):
    (tmp_path / "else").write_text("")
    with pytest.raises(NotReusableError, match="outside"):
        cache.entry({"o": {"class": "File", "location": (tmp_path / "else").as_uri()}})


def test_a_directory_that_contains_itself_is_not_kept(cache: Cache):
    (cache.out / "d").mkdir()
    (cache.out / "d" / "again").symlink_to(".")
    with pytest.raises(NotReusableError, match="contains itself"):
        cache.entry({"o": {"class": "Directory", "location": (cache.out / "d").as_uri()}})


def test_a_file_that_is_not_what_its_checksum_says_is_not_kept(cache: Cache):
    value = {**cache.write("x"), "checksum": "sha1$" + "0" * 40}
    with pytest.raises(NotReusableError, match="changed"):
        cache.entry({"o": value})


def test_later_steps_need_not_read_what_came_back(cache: Cache):
    cache.restored(cache.entry({"o": cache.write("large", LARGE)}))
    path = cache.back / "large"
    assert cache.checksums.known(path, path.stat()) is not None


class TestHostileEntries:
    """A cache may lie where others write; no entry may reach beyond the output directory."""

    @pytest.fixture
    def entry(self, cache: Cache) -> CacheEntry:
        return cache.entry({"o": cache.write("x")})

    @pytest.mark.parametrize("path", ["../x", "/tmp/x", "a/../../x", "\0"])
    def test_paths_stay_inside(self, cache: Cache, entry: CacheEntry, path: str):
        for hostile in (
            replace(entry, files=(replace(entry.files[0], path=path),)),
            replace(entry, directories=(path,)),
            replace(entry, files=(), broken_links=(BrokenLink(path=path, target="nowhere"),)),
            replace(entry, outputs={"o": {"class": "File", "location": f"out:{path}"}}),
        ):
            with pytest.raises(DamagedError, match="no path inside"):
                cache.restored(hostile)

    def test_nothing_is_written_behind_a_link(self, cache: Cache, entry: CacheEntry, tmp_path: Path):
        (tmp_path / "else").mkdir()
        given = [{"class": "Directory", "location": (tmp_path / "else").as_uri()}]
        inner = BrokenLink(path="d/link", target="nowhere")
        hostile = replace(entry, links=(StoredLink(path="d", number=0),), broken_links=(inner,))
        with pytest.raises(DamagedError, match="behind a link"):
            cache.restored(hostile, given)
        assert list((tmp_path / "else").iterdir()) == []
        cache.back = tmp_path / "third"
        for path in ("", "."):
            with pytest.raises(DamagedError, match="behind a link"):
                cache.restored(replace(entry, files=(), broken_links=(replace(inner, path=path),)))
        hostile = replace(entry, broken_links=(BrokenLink(path="d", target="../else/new"), inner))
        with pytest.raises(DamagedError, match="behind a link"):
            cache.restored(hostile)
        assert list((tmp_path / "else").iterdir()) == []

    def test_content_is_checked(self, cache: Cache, entry: CacheEntry):
        hostile = replace(entry, files=(replace(entry.files[0], content=b"CONTENT"),))
        with pytest.raises(DamagedError):
            cache.restored(hostile)

    def test_an_object_has_no_other_name_than_a_checksum(self, entry: CacheEntry):
        body = json.loads(encode_entry(entry))
        body["entry"]["files"][0]["checksum"] = "sha1$../../etc/passwd"
        assert decode_entry("k" * 64, json.dumps(body).encode()) is None


@pytest.mark.parametrize(
    "change",
    [
        {"key": {"digest": "other", "parts": {}}},
        {"outputs": 1},
        {"files": [{"path": "x"}]},
        {"links": [1]},
        {"created_at": "soon"},
    ],
)
def test_an_entry_of_another_kind_is_not_read(cache: Cache, change: dict):
    body = json.loads(encode_entry(cache.entry({})))
    changed = {**body, "entry": {**body["entry"], **change}}
    assert decode_entry("k" * 64, json.dumps(changed).encode()) is None


def test_no_entry_has_what_json_has_no_number_for(cache: Cache):
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode_entry(replace(cache.entry({}), outputs={"o": float("nan")}))
    body = encode_entry(replace(cache.entry({}), outputs={"o": "stand-in"}))
    digest = json.loads(body)["entry"]["key"]["digest"]
    assert decode_entry(digest, body) is not None
    assert decode_entry(digest, body.replace(b'"stand-in"', b"NaN")) is None


def test_an_entry_of_another_format_is_not_read(cache: Cache):
    body = json.loads(encode_entry(cache.entry({})))
    assert decode_entry("k" * 64, json.dumps({**body, "format": 0}).encode()) is None


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{}", b"{"])
def test_what_is_no_entry_is_not_read(body: bytes):
    assert decode_entry("k" * 64, body) is None


NAMES = st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=8).filter(
    lambda name: name not in (".", "..")
)
TREES = st.recursive(
    st.binary(max_size=SMALL_FILE + 10), lambda inner: st.dictionaries(NAMES, inner, max_size=3), max_leaves=6
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(tree=st.dictionaries(NAMES, TREES, max_size=3))
def test_any_tree_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, tree: dict):
    cache = Cache(tmp_path_factory.mktemp("tree"))
    plant(cache.out, tree)
    entry = cache.entry({"o": {"class": "Directory", "location": cache.out.as_uri(), "basename": "d"}})
    cache.restored(entry)
    assert (grown(cache.back) if cache.back.exists() else {}) == tree


def plant(directory: Path, tree: dict) -> None:
    for name, inner in tree.items():
        if isinstance(inner, bytes):
            (directory / name).write_bytes(inner)
        else:
            (directory / name).mkdir()
            plant(directory / name, inner)


def grown(directory: Path) -> dict:
    return {path.name: grown(path) if path.is_dir() else path.read_bytes() for path in directory.iterdir()}


def test_the_name_of_an_object_tells_content_and_kind():
    file = StoredFile(path="x", checksum="sha1$ab", size=3)
    assert file.object_name == "ab-3"
    assert replace(file, executable=True).object_name == "ab-3-x"
