"""An output directory is open to its own files only."""

import os
from pathlib import Path

import pytest

from cwl_prefect.cwl.binding.output_directory import OutputDirectory
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
def files(outdir: Path) -> OutputDirectory:
    return OutputDirectory(root=str(outdir), inputs=(os.path.realpath(outdir.parent / "input.txt"),))


def test_patterns_match_below_the_directory(files: OutputDirectory, outdir: Path) -> None:
    assert files.matches("*.txt") == [str(outdir / "a.txt")]
    assert files.matches("*/b.txt") == [str(outdir / "inner/b.txt")]
    assert files.matches("*.bam") == []


def test_a_name_like_a_pattern_matches_itself(files: OutputDirectory, outdir: Path) -> None:
    (outdir / "[x]*").write_text("")

    assert files.matches("[x]*") == [str(outdir / "[x]*")]


def test_links_inside_and_to_inputs_are_followed(files: OutputDirectory, outdir: Path) -> None:
    (outdir / "inside").symlink_to("inner/b.txt")
    (outdir / "passed").symlink_to(outdir.parent / "input.txt")

    assert len(files.matches("*s*d*")) == 2
    assert files.contents(str(outdir / "passed")) == "input"


@pytest.mark.parametrize("target", ["../secret.txt", "/etc/passwd", "inner/../../secret.txt"])
def test_links_that_leave_it_are_not_followed(files: OutputDirectory, outdir: Path, target: str) -> None:
    (outdir / "link").symlink_to(target)

    with pytest.raises(OutputError, match="link leads to"):
        files.matches("link")
    with pytest.raises(OutputError, match="outside the output directory"):
        files.contents(str(outdir / "link"))


def test_a_directory_that_is_a_link_is_not_entered(files: OutputDirectory, outdir: Path) -> None:
    (outdir / "up").symlink_to("..")

    with pytest.raises(OutputError, match=r"up/secret\.txt leads to"):
        files.matches("up/*.txt")


def test_a_pattern_cannot_climb(files: OutputDirectory, outdir: Path) -> None:
    with pytest.raises(OutputError, match="outside"):
        files.matches("../*.txt")


def test_a_path_elsewhere_is_closed(files: OutputDirectory, outdir: Path) -> None:
    for ask in (files.demand, files.contents):
        with pytest.raises(OutputError, match=r"secret\.txt is outside the output directory"):
            ask(str(outdir.parent / "secret.txt"))
    with pytest.raises(OutputError, match="outside the output directory"):
        files.demand(str(outdir.parent))


@pytest.mark.parametrize("name", ["pipe", "link"])
def test_a_pipe_is_not_waited_for(files: OutputDirectory, outdir: Path, name: str) -> None:
    os.mkfifo(outdir / "pipe")
    (outdir / "link").symlink_to("pipe")

    with pytest.raises(OutputError, match=f"{name} is neither a file nor a directory"):
        files.matches(f"{name}")
    with pytest.raises(OutputError, match=f"{name} is neither a file nor a directory"):
        files.contents(str(outdir / name))
