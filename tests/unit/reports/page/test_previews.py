import os

import pytest

from cwl_prefect.reports.page.previews import LARGEST_IMAGE, LONGEST_TEXT, MOST_FILES, images, previews
from cwl_prefect.reports.record import read_record
from tests.unit.reports.traces import ENDED, STARTED, write

PNG = b"\x89PNG\r\n\x1a\n"


def shown(directory, outdir, *paths, secret: bool | None = False):
    """Return what is shown of output files of a run."""
    files = [{"class": "File", "location": path.as_uri()} for path in paths]
    started = {**STARTED, "outdir": str(outdir), "secret": secret}
    found = previews(read_record(write(directory / "trace", started, {**ENDED, "outputs": {"o": files}})))
    return [found[path.as_uri()] for path in paths if path.as_uri() in found]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        pytest.param("a.txt", b"hi\n", {"kind": "text", "text": "hi\n", "cut": False}, id="text"),
        pytest.param("a.csv", b"x,y\n1,2", {"kind": "table", "rows": [["x", "y"], ["1", "2"]], "cut": False}, id="csv"),
        pytest.param("a.tsv", b"x\ty\n", {"kind": "table", "rows": [["x", "y"]], "cut": False}, id="tsv"),
        pytest.param("a", PNG, {"kind": "image", "data": "data:image/png;base64,iVBORw0KGgo="}, id="image"),
        pytest.param("a.png", PNG + b"0" * LARGEST_IMAGE, None, id="large-image"),
        pytest.param("a.svg", b"\x00<svg/>", None, id="no-text"),
        pytest.param("a.txt", b"caf\xe9 au lait", None, id="other-encoding"),
        pytest.param("a.txt", b"", None, id="empty"),
    ],
)
def test_a_result_is_shown_as_what_it_is(tmp_path, name, content, expected):
    path = tmp_path / name
    path.write_bytes(content)
    assert shown(tmp_path, tmp_path, path) == ([] if expected is None else [expected])


def test_of_a_long_text_the_beginning_is_shown(tmp_path):
    text, table = tmp_path / "a.txt", tmp_path / "a.csv"
    text.write_text("\u00e9" * LONGEST_TEXT)
    table.write_text("x,y\n" * LONGEST_TEXT)
    found, rows = shown(tmp_path, tmp_path, text, table)
    assert (set(found["text"]), found["cut"]) == ({"\u00e9"}, True)
    assert (len(rows["rows"]), rows["cut"]) == (11, True)


@pytest.mark.parametrize("secret", [True, None])
def test_nothing_is_read_of_a_run_that_had_secrets_or_does_not_say(tmp_path, secret):
    path = tmp_path / "a.txt"
    path.write_text("hunter2")
    assert shown(tmp_path, tmp_path, path, secret=secret) == []


def test_only_files_of_the_directory_for_results_are_read(tmp_path):
    outdir, other = tmp_path / "out", tmp_path / "other.txt"
    outdir.mkdir()
    other.write_text("not ours")
    (outdir / "link.txt").symlink_to(other)
    (outdir / "inner.txt").symlink_to(outdir / "text.txt")
    (outdir / "text.txt").write_text("ours")
    os.mkfifo(outdir / "pipe.txt")
    paths = [other, outdir / "link.txt", outdir / "inner.txt", outdir / "pipe.txt", outdir / "gone.txt"]
    assert shown(tmp_path, outdir, *paths) == []
    assert shown(tmp_path, outdir, outdir / "text.txt")[0]["text"] == "ours"


def test_a_few_files_are_enough(tmp_path):
    paths = [tmp_path / f"{n}.txt" for n in range(MOST_FILES + 1)]
    for path in paths:
        path.write_text("hi")
    assert len(shown(tmp_path, tmp_path, *paths)) == MOST_FILES


def found_images(outdir, *paths):
    return [path for path, _ in images([{"class": "File", "location": path.as_uri()} for path in paths], outdir)]


@pytest.mark.parametrize(
    ("name", "content", "taken"),
    [
        pytest.param("a.png", PNG, True, id="png"),
        pytest.param("a.JPG", b"\xff\xd8\xff\xe0", True, id="jpeg"),
        pytest.param("a.gif", b"GIF89a", True, id="gif"),
        pytest.param("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", False, id="svg"),
        pytest.param("a.png", b"<svg xmlns='http://www.w3.org/2000/svg'/>", False, id="svg-by-another-name"),
        pytest.param("a.gif", b"<html>", False, id="html-by-another-name"),
        pytest.param("a.txt", PNG, False, id="named-otherwise"),
        pytest.param("a.png", PNG + b"0" * LARGEST_IMAGE, False, id="large"),
    ],
)
def test_images_are_those_that_are_named_so_and_begin_so(tmp_path, name, content, taken):
    path = tmp_path / name
    path.write_bytes(content)
    assert found_images(tmp_path, path) == ([str(path)] if taken else [])


def test_images_are_together_no_larger_than_one_may_be_and_lie_in_the_directory_for_results(tmp_path):
    outdir, half = tmp_path / "out", PNG + b"0" * (LARGEST_IMAGE // 2)
    outdir.mkdir()
    paths = [outdir / f"{number}.png" for number in range(3)]
    for path, content in zip(paths, (half, half, PNG), strict=True):
        path.write_bytes(content)
    (tmp_path / "other.png").write_bytes(PNG)
    (outdir / "link.png").symlink_to(tmp_path / "other.png")
    others = (outdir / "link.png", tmp_path / "other.png", outdir / "gone.png")
    assert found_images(outdir, *others, *paths) == [str(paths[0]), str(paths[2])]
