import errno
import hashlib
import json
import os
import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cwl_prefect._lib.uris import file_uri
from cwl_prefect.engine.outputs import publish as publishing
from cwl_prefect.engine.outputs.placement import Placement, path_here
from cwl_prefect.engine.outputs.publish import MANIFEST, demand_writable, publish
from cwl_prefect.engine.staging.copying import copy
from cwl_prefect.errors import PublishError

ODD_NAMES = ["a b", "it's", "co:lon", "new\nline", "ha#sh", "per%20cent", "qu?ry", "ünïcödé", "-dash", ".hidden"]


@pytest.fixture
def run(tmp_path) -> Path:
    """Workspaces of a run, whose files may be moved."""
    root = tmp_path / "runs" / "run"
    root.mkdir(parents=True)
    return root


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "out"


def written(path: Path, text: str = "text") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def file(path: Path, **fields) -> dict:
    return {"class": "File", "location": file_uri(path), "basename": path.name} | fields


def directory(path: Path, **fields) -> dict:
    return {"class": "Directory", "location": file_uri(path), "basename": path.name} | fields


def sha1(text: str) -> str:
    return "sha1$" + hashlib.sha1(text.encode()).hexdigest()


def snapshot(root: Path) -> dict[str, str | None]:
    return {str(p.relative_to(root)): None if p.is_dir() else p.read_text() for p in sorted(root.rglob("*"))}


def delivered(root: Path) -> dict[str, str]:
    return {name: text for name, text in snapshot(root).items() if text is not None and name != MANIFEST}


def deliver(outputs: dict, out: Path, *move_from: Path) -> dict:
    placed = publish(outputs, out, move_from=move_from)
    assert json.loads((out / MANIFEST).read_text()) == placed
    assert not list(out.glob(".cwl-prefect-*"))
    return placed


def test_a_file_is_moved_and_described(run, out):
    source = written(run / "step" / "a.txt")
    placed = deliver({"x": file(source, nameroot="a", nameext=".txt", dirname="/d", format="f")}, out, run)
    assert placed == {
        "x": {
            "class": "File",
            "location": f"file://{out}/a.txt",
            "path": f"{out}/a.txt",
            "basename": "a.txt",
            "size": 4,
            "checksum": sha1("text"),
            "format": "f",
        }
    }
    assert not source.exists()
    assert (out / "a.txt").read_text() == "text"


def test_a_file_from_elsewhere_is_copied(run, out, tmp_path):
    source = written(tmp_path / "mine.txt")
    source.chmod(0o444)
    deliver({"x": file(source)}, out, run)
    assert source.exists()
    assert os.access(out / "mine.txt", os.W_OK)


def test_the_manifest_is_json_or_nothing_is_delivered(run, out):
    with pytest.raises(ValueError, match="not JSON compliant"):
        deliver({"x": file(written(run / "x.txt")), "n": float("nan")}, out, run)
    assert not out.exists() or delivered(out) == {}


def test_a_link_is_delivered_as_what_it_leads_to(run, out, tmp_path):
    original = written(tmp_path / "input.txt")
    (run / "link.txt").symlink_to(original)
    deliver({"x": file(run / "link.txt")}, out, run)
    assert not (out / "link.txt").is_symlink()
    assert delivered(out) == {"link.txt": "text"}
    assert original.exists()


@pytest.mark.parametrize("name", ODD_NAMES)
def test_any_name_is_delivered(run, out, name):
    placed = deliver({"x": file(written(run / name, name))}, out, run)
    assert delivered(out) == {name: name}
    assert path_here(placed["x"]) == out / name == Path(placed["x"]["path"])


@pytest.mark.parametrize(("began_s", "name"), [(0.0, "a_2"), (4e9, "a")], ids=["during-the-run", "before-it"])
def test_what_came_to_the_destination_during_a_run_is_never_replaced(run, out, caplog, began_s, name):
    out.mkdir()
    written(out / "a", "of another run")
    placed = publish({"o": file(written(run / "a", "own"))}, out, move_from=(run,), since_s=began_s)
    assert placed["o"]["path"] == str(out / name)
    assert (out / name).read_text() == "own"
    assert ("came there during the run" in caplog.text) is (name != "a")


def test_taken_names_get_a_number(run, out):
    outputs = [file(written(run / str(n) / "a.txt", str(n))) for n in range(3)]
    placed = deliver({"x": outputs}, out, run)
    assert delivered(out) == {"a.txt": "0", "a.txt_2": "1", "a.txt_3": "2"}
    assert [each["basename"] for each in placed["x"]] == ["a.txt"] * 3


def test_each_of_many_files_of_one_name_takes_as_long_as_the_first(tmp_path, monkeypatch):
    looks = []
    is_free = Placement._is_free
    monkeypatch.setattr(
        Placement, "_is_free", lambda self, target, **kind: looks.append(target) or is_free(self, target, **kind)
    )
    literals = [{"class": "File", "basename": "a.txt", "contents": str(number)} for number in range(1000)]

    placed = Placement(destination=tmp_path).place(literals)

    assert [Path(each["path"]).name for each in placed[-2:]] == ["a.txt_999", "a.txt_1000"]
    assert len(looks) == 1000


def test_secondary_files_lie_next_to_their_primary(run, out):
    index = file(written(run / "a.bai", "i"))
    tree = directory(written(run / "a_dir" / "f", "f").parent)
    placed = deliver({"x": file(written(run / "a.bam", "b"), secondaryFiles=[index, tree])}, out, run)
    assert delivered(out) == {"a.bam": "b", "a.bai": "i", "a_dir/f": "f"}
    assert placed["x"]["secondaryFiles"][0]["location"] == f"file://{out}/a.bai"
    assert placed["x"]["secondaryFiles"][1]["listing"][0]["path"] == f"{out}/a_dir/f"


def test_one_file_twice_is_delivered_once(run, out):
    source = written(run / "a.txt")
    placed = deliver({"x": file(source), "y": [file(source)], "z": file(source, basename="b.txt")}, out, run)
    assert placed["x"] == placed["y"][0]
    assert delivered(out) == {"a.txt": "text", "b.txt": "text"}


@pytest.mark.parametrize("swapped", [False, True])
def test_a_file_inside_a_directory_that_is_an_output_too(run, out, swapped):
    inner = written(run / "d" / "sub" / "f", "f")
    written(run / "d-other" / "g", "g")
    outputs = {"x": directory(run / "d"), "y": file(inner), "z": directory(run / "d-other")}
    deliver(dict(reversed(outputs.items())) if swapped else outputs, out, run)
    assert delivered(out) == {"d/sub/f": "f", "f": "f", "d-other/g": "g"}
    assert not (run / "d-other").exists()


def test_literals_are_written(run, out):
    outputs = {
        "x": {"class": "File", "basename": "a.txt", "contents": "ä\r\n"},
        "y": {"class": "File", "location": "_:1", "contents": "", "secondaryFiles": []},
        "z": {
            "class": "Directory",
            "location": "_:2",
            "basename": "d",
            "listing": [
                {"class": "File", "basename": "f", "contents": "1"},
                {"class": "File", "basename": "f", "contents": "2"},
                file(written(run / "moved", "m")),
                {"class": "Directory", "basename": "e", "listing": [{"class": "Directory"}]},
            ],
        },
        "w": {"class": "Directory", "basename": "empty"},
    }
    placed = deliver(outputs, out, run)
    assert (out / "a.txt").read_bytes() == "ä\r\n".encode()
    assert placed["x"]["size"] == 4
    assert delivered(out)["d/f_2"] == "2"
    assert delivered(out)["d/moved"] == "m"
    assert (out / "d" / "e" / "directory").is_dir()
    assert (out / "literal").read_text() == ""
    assert "contents" not in placed["x"]
    assert placed["w"]["listing"] == []


def test_directories_are_listed_with_all_below(run, out):
    written(run / "d" / "b", "b")
    written(run / "d" / "a" / "c", "c")
    known = [{"class": "File", "basename": "b", "checksum": "sha1$known", "size": 1, "format": "f"}]
    placed = deliver({"x": directory(run / "d", listing=known)}, out, run)
    assert placed["x"]["location"] == f"file://{out}/d"
    inner, plain = placed["x"]["listing"]
    assert (inner["class"], inner["path"]) == ("Directory", f"{out}/d/a")
    assert inner["listing"][0]["checksum"] == sha1("c")
    assert inner["listing"][0]["location"] == f"file://{out}/d/a/c"
    assert (plain["checksum"], plain["format"]) == ("sha1$known", "f")
    assert not (run / "d").exists()


def test_links_inside_a_directory_become_their_content(run, out, tmp_path):
    original = written(tmp_path / "in" / "f", "f")
    written(run / "d" / "own", "o")
    (run / "d" / "link").symlink_to(original)
    (run / "d" / "tree").symlink_to(original.parent)
    (run / "d" / "gone").symlink_to("nowhere")
    placed = deliver({"x": directory(run / "d")}, out, run)
    assert delivered(out) == {"d/own": "o", "d/link": "f", "d/tree/f": "f"}
    assert not any(path.is_symlink() for path in out.rglob("*"))
    assert [item["basename"] for item in placed["x"]["listing"]] == ["link", "own", "tree"]
    assert original.exists()


def test_known_checksums_are_trusted_as_long_as_the_size_fits(run, out):
    fits = file(written(run / "fits"), size=4, checksum="sha1$known")
    stale = file(written(run / "stale"), size=5, checksum="sha1$known")
    placed = deliver({"fits": fits, "stale": stale}, out, run)
    assert placed["fits"]["checksum"] == "sha1$known"
    assert placed["stale"]["checksum"] == sha1("text")
    assert placed["stale"]["size"] == 4


def test_what_is_not_on_this_machine_stays_as_it_is(run, out):
    outputs = {
        "x": {"class": "File", "location": "https://example.org/a%20b", "basename": "a b", "size": 3},
        "y": {"class": "Directory", "location": "s3://bucket/dir"},
        "z": [1, None, {"record": "text"}],
    }
    assert deliver(outputs, out, run) == outputs
    assert delivered(out) == {}


def test_records_and_plain_paths(run, out):
    written(run / "a.txt")
    placed = deliver({"x": {"inner": [{"class": "File", "path": str(run / "a.txt")}]}}, out, run)
    assert placed["x"]["inner"][0]["basename"] == "a.txt"


def test_a_file_that_lies_in_the_destination_stays_there(run, out):
    kept = written(out / "a.txt", "mine")
    outputs = {"x": file(kept), "y": file(written(run / "a.txt", "new"))}
    deliver(outputs, out, run)
    assert delivered(out) == {"a.txt": "mine", "a.txt_2": "new"}


@pytest.mark.parametrize("linked", [False, True], ids=["by-its-path", "through-a-link"])
def test_an_input_that_lies_in_the_destination_is_never_replaced(run, out, tmp_path, caplog, linked):
    given_file = written(out / "f.txt", "mine")
    index = written(out / "f.txt.idx", "mine too")
    if linked:
        (tmp_path / "link").symlink_to(out)
        given_file = tmp_path / "link" / "f.txt"
    order = {"f": [file(given_file, secondaryFiles=[file(index)])]}
    outputs = {"o": file(written(run / "f.txt", "new"), secondaryFiles=[file(written(run / "f.txt.idx", "new"))])}
    for _ in range(2):  # a further run replaces its own results alone
        publish(outputs, out, move_from=(), inputs=order)
    expected = {"f.txt": "mine", "f.txt.idx": "mine too", "f.txt_2": "new", "f.txt.idx_2": "new"}
    assert delivered(out) == expected
    assert f"{out / 'f.txt'} is an input of this run and stays" in caplog.text


def test_a_directory_that_came_from_here_and_holds_an_input_is_not_replaced(run, out):
    deliver({"d": directory(written(run / "d" / "a.txt", "old").parent)}, out, run)
    order = {"f": file(out / "d" / "a.txt")}
    outputs = {"d": directory(written(run / "d" / "a.txt", "new").parent)}
    publish(outputs, out, move_from=(), inputs=order)
    assert delivered(out) == {"d/a.txt": "old", "d_2/a.txt": "new"}


def test_a_further_run_replaces_what_the_earlier_one_delivered(run, out):
    for text in ("old", "new"):
        written(run / "d" / text, text)
        written(run / "a.txt", text)
        deliver({"x": directory(run / "d"), "y": file(run / "a.txt")}, out, run)
    assert delivered(out) == {"d/new": "new", "a.txt": "new"}


def test_directories_of_others_are_never_replaced(run, out):
    written(out / "d" / "precious")
    written(out / "e" / "precious")
    written(out / "f", "file")
    outputs = {
        "x": directory(written(run / "d" / "new").parent),
        "y": file(written(run / "e")),
        "z": directory(written(run / "f" / "new").parent),
    }
    deliver(outputs, out, run)
    assert set(delivered(out)) == {"d/precious", "d_2/new", "e/precious", "e_2", "f", "f_2/new"}


def test_the_name_of_the_manifest_is_reserved(run, out):
    deliver({"x": file(written(run / MANIFEST, "mine"))}, out, run)
    assert (out / f"{MANIFEST}_2").read_text() == "mine"


def test_a_damaged_manifest_is_no_obstacle(run, out):
    written(out / MANIFEST, "{")
    deliver({"x": file(written(run / "a"))}, out, run)
    assert delivered(out) == {"a": "text"}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        pytest.param({"class": "File", "basename": "../up", "contents": ""}, "not a name", id="slash"),
        pytest.param({"class": "File", "basename": "..", "contents": ""}, "not a name", id="dots"),
        pytest.param({"class": "Directory", "basename": "a/b", "listing": []}, "not a name", id="directory"),
        pytest.param({"class": "File", "basename": "a"}, "neither a location nor contents", id="nothing"),
        pytest.param({"class": "File", "location": "file:///nowhere/at/all"}, "No such file", id="missing"),
        pytest.param({"class": "File", "basename": "x" * 300, "contents": ""}, "name too long", id="too-long"),
    ],
)
def test_refuses_what_cannot_be_delivered_and_leaves_nothing(run, out, value, words):
    source = written(run / "a.txt")
    with pytest.raises(PublishError, match=words) as raised:
        publish({"good": file(source), "bad": value}, out, move_from=(run,))
    assert raised.value.hint
    assert source.exists()
    assert not out.exists()


def test_refuses_a_directory_that_contains_itself(run, out):
    written(run / "d" / "f")
    (run / "d" / "again").symlink_to(run / "d")
    with pytest.raises(PublishError, match="contains itself"):
        publish({"x": directory(run / "d")}, out, move_from=())


def test_refuses_pipes(run, out):
    os.mkfifo(run / "pipe")
    (run / "d").mkdir()
    (run / "d" / "link").symlink_to(run / "pipe")
    with pytest.raises(PublishError):
        publish({"x": directory(run / "d")}, out, move_from=(run,))


@pytest.mark.parametrize("below", ["file", "file/below"])
def test_a_destination_that_is_a_file_is_refused(run, tmp_path, below):
    written(tmp_path / "file")
    with pytest.raises(PublishError, match=r"cannot be written to .*: Not a directory") as raised:
        publish({}, tmp_path / below, move_from=())
    assert "--outdir" in raised.value.hint
    with pytest.raises(PublishError, match=r"cannot be written to .*: Not a directory"):
        demand_writable(tmp_path / below)


def test_whether_a_destination_can_be_written_is_known_before(run, tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(tmp_path / "to" / "be" / "made")
    demand_writable(tmp_path / "link")
    assert not (tmp_path / "to").exists()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(PublishError, match=re.escape(f"Permission denied ({tmp_path})")) as raised:
        demand_writable(tmp_path / "new")
    assert "permissions" in raised.value.hint


def failing_after(count: int, number: int, method):
    """A file operation that works `count` times, then fails with an error number."""
    calls = []

    def operation(*arguments, **options):
        calls.append(arguments)
        if len(calls) > count:
            raise OSError(number, os.strerror(number))
        return method(*arguments, **options)

    return operation


@pytest.mark.parametrize("count", range(4))
def test_a_failure_while_renaming_leaves_everything_as_it_was(run, out, monkeypatch, count):
    written(run / "d" / "old", "old")
    deliver({"x": directory(run / "d"), "y": file(written(run / "a.txt", "old"))}, out, run)
    written(run / "d" / "new", "new")
    sources = {"x": directory(run / "d"), "y": file(written(run / "a.txt", "new")), "z": file(written(run / "b.txt"))}
    before, before_run = snapshot(out), snapshot(run)
    real = publishing._exchange
    monkeypatch.setattr(publishing, "_exchange", failing_after(count, errno.EIO, real))
    with pytest.raises(PublishError):
        publish(sources, out, move_from=(run,))
    assert snapshot(out) == before
    assert snapshot(run) == before_run


def test_a_full_disk_leaves_everything_as_it_was(run, out, tmp_path, monkeypatch):
    moved, copied = written(run / "a.txt"), written(tmp_path / "b.txt")
    monkeypatch.setattr(publishing, "copy", failing_after(0, errno.ENOSPC, copy))
    with pytest.raises(PublishError, match="No space left") as raised:
        publish({"x": file(moved), "y": file(copied)}, out / "deep", move_from=(run,))
    assert "free space" in raised.value.hint
    assert moved.exists()
    assert not out.exists()


def test_an_interrupt_leaves_everything_as_it_was(run, out, monkeypatch):
    source = written(run / "a.txt")

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(publishing, "_exchange", interrupt)
    with pytest.raises(KeyboardInterrupt):
        publish({"x": file(source)}, out, move_from=(run,))
    assert source.exists()
    assert not out.exists()


def test_the_manifest_is_the_last_to_appear(run, out, monkeypatch):
    order = []
    real = publishing._exchange

    def record(new, target, old, undo):
        order.append(target.name)
        assert not (out / MANIFEST).exists()
        real(new, target, old, undo)

    deliver({"x": file(written(run / "a"))}, out, run)
    monkeypatch.setattr(publishing, "_exchange", record)
    deliver({"x": file(written(run / "a")), "y": file(written(run / "b"))}, out, run)
    assert order == ["a", "b", MANIFEST]


def test_another_file_system_is_copied_to(run, out, monkeypatch):
    source = written(run / "a.txt")
    monkeypatch.setattr(publishing.Path, "rename", failing_after(0, errno.EXDEV, Path.rename))
    monkeypatch.setattr(publishing.os, "link", failing_after(0, errno.EPERM, os.link))
    deliver({"x": file(source)}, out, run)
    assert delivered(out) == {"a.txt": "text"}


def test_a_file_system_without_second_names(run, out, monkeypatch):
    written(out / "a.txt", "old")
    monkeypatch.setattr(publishing.os, "link", failing_after(0, errno.EPERM, os.link))
    deliver({"x": file(written(run / "a.txt", "new"))}, out, run)
    assert delivered(out) == {"a.txt": "new"}


def test_what_a_killed_publication_left_is_removed(run, out):
    abandoned, recent = out / ".cwl-prefect-publish-old", out / ".cwl-prefect-publish-new"
    for each in (abandoned, recent):
        written(each / "new" / "x")
    os.utime(abandoned, (0, time.time() - 3600))
    publish({"x": file(written(run / "a"))}, out, move_from=(run,))
    assert not abandoned.exists()
    assert recent.exists()


class Killed(BaseException):
    """Stands for the end of a process: nothing is undone after it."""


def killed(outputs: dict, out: Path, run: Path, monkeypatch, *, after: int, run_id: str = "one") -> None:
    """Leave what a process leaves that is killed after so many results are in place."""
    real, count = publishing._exchange, iter(range(after))

    def exchange(new, target, old, undo):
        if next(count, None) is None:
            if target.is_dir():  # it was about to be replaced
                publishing._set_aside(target, old, undo)
            raise Killed
        real(new, target, old, undo)

    with monkeypatch.context() as patched:
        patched.setattr(publishing, "_exchange", exchange)
        patched.setattr(publishing, "_quietly", lambda *_: None)
        patched.setattr(publishing.shutil, "rmtree", lambda *_, **__: None)
        with pytest.raises(Killed):
            publish(outputs, out, move_from=(run,), run_id=run_id)


def asides(out: Path) -> list[Path]:
    return list(out.glob(".cwl-prefect-*"))


@pytest.mark.parametrize("again", [False, True], ids=["first", "over-earlier-results"])
@pytest.mark.parametrize("after", range(3))
def test_a_resumed_run_ends_as_if_it_had_not_been_killed_while_it_published(run, out, monkeypatch, after, again):
    def outputs(text: str) -> dict:
        written(run / "d" / text, text)
        written(run / "a.txt", text)
        return {"x": directory(run / "d"), "y": file(run / "a.txt")}

    if again:
        deliver(outputs("old"), out, run)
    killed(outputs("new"), out, run, monkeypatch, after=after)
    assert asides(out)
    publish(outputs("new"), out, move_from=(run,), run_id="one")
    assert delivered(out) == {"d/new": "new", "a.txt": "new"}
    assert asides(out) == []


def test_what_another_run_is_publishing_stays(run, out, monkeypatch):
    killed({"x": file(written(run / "a"))}, out, run, monkeypatch, after=0, run_id="other")
    publish({"x": file(written(run / "a"))}, out, move_from=(run,), run_id="one")
    assert [path.name.rpartition("-")[0] for path in asides(out)] == [".cwl-prefect-publish-other"]


def test_what_lives_stays_whoever_asks(run, out):
    out.mkdir()
    with publishing._staging_directory(out, "one") as staging:
        publishing.remove_abandoned(out, "one")
        assert staging.is_dir()


def test_links_are_no_leftovers(run, out, tmp_path):
    precious = written(tmp_path / "precious" / "old" / "x")
    out.mkdir()
    (out / ".cwl-prefect-publish-one-link").symlink_to(precious.parent.parent)
    aside = out / ".cwl-prefect-publish-one-dir"
    aside.mkdir()
    (aside / "old").symlink_to(precious.parent)
    publish({"x": file(written(run / "a"))}, out, move_from=(run,), run_id="one")
    assert precious.exists()
    assert [path.name for path in asides(out)] == [".cwl-prefect-publish-one-link"]
    assert delivered(out)["a"] == "text"
    assert not (out / "x").exists()


def test_results_that_were_set_aside_and_not_replaced_are_put_back(run, out, monkeypatch):
    written(run / "d" / "old", "old")
    deliver({"x": directory(run / "d")}, out, run)
    written(run / "d" / "new", "new")
    killed({"x": directory(run / "d")}, out, run, monkeypatch, after=0)
    assert delivered(out).keys() != {"d/old"}
    publishing.remove_abandoned(out, "one")
    assert snapshot(out) == {"d": None, "d/old": "old"}


def test_a_copy_refuses_to_contain_itself(tmp_path):
    written(tmp_path / "d" / "f")
    with pytest.raises(OSError, match="contain itself"):
        copy(tmp_path / "d", tmp_path / "d" / "copy")


def test_a_copy_of_a_device_is_refused(tmp_path):
    with pytest.raises(OSError, match="neither a file nor a directory"):
        copy(Path("/dev/null"), tmp_path / "x")


LEAVES = st.none() | st.integers() | st.text(max_size=3)
NAMES = st.sampled_from(["a", "b", "c d"])
FILES = st.recursive(
    st.tuples(NAMES, st.text(max_size=3)).map(lambda pair: {"class": "File", "basename": pair[0], "contents": pair[1]}),
    lambda inner: st.tuples(NAMES, st.lists(inner, max_size=3)).map(
        lambda pair: {"class": "Directory", "basename": pair[0], "listing": pair[1]}
    ),
    max_leaves=6,
)
VALUES = st.recursive(
    LEAVES | FILES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=2), max_leaves=8
)


@given(st.dictionaries(NAMES, VALUES, max_size=3))
def test_every_literal_lies_where_the_object_says(tmp_path_factory, outputs):
    out = tmp_path_factory.mktemp("publish") / "out"
    placed = publish(outputs, out, move_from=())
    seen = []

    def check(before, after):
        if isinstance(before, list):
            assert len(before) == len(after)
            for one, other in zip(before, after, strict=True):
                check(one, other)
        elif not isinstance(before, dict):
            assert before == after
        elif before.get("class") == "File":
            assert Path(after["path"]).read_bytes() == before["contents"].encode()
            seen.append(after["path"])
        elif before.get("class") == "Directory":
            assert Path(after["path"]).is_dir()
            seen.append(after["path"])
            check(before["listing"], after["listing"])
        else:
            assert before.keys() == after.keys()
            for name in before:
                check(before[name], after[name])

    check(outputs, placed)
    assert len(seen) == len(set(seen))
    assert len(snapshot(out)) == len(seen) + 1


def test_where_no_directory_can_be_made_is_told(run):
    with pytest.raises(PublishError, match="no directory can be made in /proc") as caught:
        publish({"o": file(written(run / "a"))}, Path("/proc/nowhere"), move_from=())
    assert caught.value.hint == "choose another directory by --outdir"
