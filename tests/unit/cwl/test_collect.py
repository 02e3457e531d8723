"""An output directory is open to its own files only."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cwl_prefect.cwl.collect import OutputFiles, output_errors
from cwl_prefect.errors import OutputError


@pytest.fixture
def outdir(tmp_path: Path) -> Path:
    place = tmp_path / "out [1] #"
    (place / "inner").mkdir(parents=True)
    (place / "a.txt").write_text("a")
    (place / "inner/b.txt").write_text("b")
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "input.txt").write_text("input")
    return place


@pytest.fixture
def files(outdir: Path) -> OutputFiles:
    return OutputFiles(str(outdir), inputs=(os.path.realpath(outdir.parent / "input.txt"),))


def test_patterns_match_below_the_directory(files: OutputFiles, outdir: Path) -> None:
    assert files.glob(f"{outdir}/*.txt") == [(outdir / "a.txt").as_uri()]
    assert files.glob(f"{outdir}/*/b.txt") == [(outdir / "inner/b.txt").as_uri()]
    assert files.glob(f"{outdir}/*.bam") == []


def test_a_name_like_a_pattern_matches_itself(files: OutputFiles, outdir: Path) -> None:
    (outdir / "[x]*").write_text("")

    assert files.glob(f"{outdir}/[x]*") == [(outdir / "[x]*").as_uri()]


def test_links_inside_and_to_inputs_are_followed(files: OutputFiles, outdir: Path) -> None:
    (outdir / "inside").symlink_to("inner/b.txt")
    (outdir / "passed").symlink_to(outdir.parent / "input.txt")

    assert len(files.glob(f"{outdir}/*s*d*")) == 2
    with files.open((outdir / "passed").as_uri(), "r") as stream:
        assert stream.read() == "input"


@pytest.mark.parametrize("target", ["../secret.txt", "/etc/passwd", "inner/../../secret.txt"])
def test_links_that_leave_it_are_not_followed(files: OutputFiles, outdir: Path, target: str) -> None:
    (outdir / "link").symlink_to(target)

    with pytest.raises(OutputError, match="link leads to"):
        files.glob(f"{outdir}/link")
    with pytest.raises(OutputError, match="outside the output directory"):
        files.open(str(outdir / "link"), "r")


def test_a_directory_that_is_a_link_is_not_entered(files: OutputFiles, outdir: Path) -> None:
    (outdir / "up").symlink_to("..")

    with pytest.raises(OutputError, match=r"up/secret\.txt leads to"):
        files.glob(f"{outdir}/up/*.txt")


def test_a_pattern_cannot_climb(files: OutputFiles, outdir: Path) -> None:
    with pytest.raises(OutputError, match="outside"):
        files.glob(f"{outdir}/../*.txt")


@pytest.mark.parametrize("spelled", [str, Path.as_uri], ids=["path", "uri"])
def test_a_location_elsewhere_is_closed(files: OutputFiles, outdir: Path, spelled: Callable[[Path], str]) -> None:
    for ask in (files.isfile, lambda location: files.open(location, "r")):
        with pytest.raises(OutputError, match=r"secret\.txt is outside the output directory"):
            ask(spelled(outdir.parent / "secret.txt"))
    with pytest.raises(OutputError, match="outside the output directory"):
        files.isdir(spelled(outdir.parent))


def test_an_input_that_is_passed_on_is_open_wherever_its_link_leads(outdir: Path) -> None:
    (outdir.parent / "listed").symlink_to("secret.txt")
    listed = str(outdir.parent / "listed")

    assert OutputFiles(str(outdir), inputs=(), passed_on=frozenset({listed})).isfile(listed)


@pytest.mark.parametrize("name", ["pipe", "link"])
def test_a_pipe_is_not_waited_for(files: OutputFiles, outdir: Path, name: str) -> None:
    os.mkfifo(outdir / "pipe")
    (outdir / "link").symlink_to("pipe")

    with pytest.raises(OutputError, match=f"{name} is neither a file nor a directory"):
        files.glob(f"{outdir}/{name}")
    with pytest.raises(OutputError, match=f"{name} is neither a file nor a directory"):
        files.open(str(outdir / name), "r")


def test_a_full_directory_is_told_in_part(outdir: Path) -> None:
    for number in range(20):
        (outdir / f"c{number:02}.txt").write_text("")

    with pytest.raises(OutputError) as raised, output_errors("align", outdir):
        raise ValueError(
            "Error collecting output for parameter 'o': plan:1:1: Did not find output file with glob pattern: ['*.x']."
        )

    assert raised.value.message.startswith(
        "align: output o: no file matches the glob '*.x'; the output directory holds"
    )
    assert "and 12 more" in raised.value.message
    assert raised.value.step == "align"
