"""Outputs give nobody the rights of whoever ran the tool."""

import os
from pathlib import Path

import pytest

from cwl_prefect.engine.outputs.file_modes import clear_setuid
from cwl_prefect.errors import OutputError


@pytest.fixture
def outdir(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def made(path: Path, mode: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)
    return path


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def file(path: Path, **more: object) -> dict:
    return {"class": "File", "location": path.as_uri(), **more}


@pytest.mark.parametrize(
    ("before", "after"),
    [(0o4755, 0o755), (0o2755, 0o755), (0o6711, 0o711), (0o1644, 0o1644), (0o640, 0o640)],
    ids=oct,
)
def test_a_file_loses_its_owner_s_and_group_s_rights_and_nothing_else(outdir: Path, before: int, after: int) -> None:
    path = made(outdir / "tool", before)
    clear_setuid({"made": file(path)}, outdir, name="align")
    assert mode(path) == after


def test_it_is_done_at_every_depth(outdir: Path) -> None:
    paths = [made(outdir / name, 0o4755) for name in ("one", "two", "tree/a", "tree/b/c", "linked")]
    (outdir / "link").symlink_to("linked")
    listing = [file(paths[2]), {"class": "Directory", "location": (outdir / "tree/b").as_uri(), "listing": []}]
    clear_setuid(
        {
            "files": [file(paths[0], secondaryFiles=[file(paths[1])])],
            "record": {"tree": {"class": "Directory", "location": (outdir / "tree").as_uri(), "listing": listing}},
            "link": file(outdir / "link"),
        },
        outdir,
        name="align",
    )
    assert {mode(path) for path in paths} == {0o755}


def test_inputs_that_are_passed_on_are_left_alone(outdir: Path, tmp_path: Path) -> None:
    own = made(tmp_path / "own", 0o4755)
    (outdir / "passed").symlink_to(own)
    clear_setuid({"a": file(own), "b": file(outdir / "passed")}, outdir, name="align")
    assert mode(own) == 0o4755


def test_a_directory_keeps_the_bit_that_hands_on_its_group(outdir: Path) -> None:
    (outdir / "shared").mkdir()
    (outdir / "shared").chmod(0o2775)
    clear_setuid({"d": {"class": "Directory", "location": (outdir / "shared").as_uri()}}, outdir, name="align")
    assert mode(outdir / "shared") == 0o2775


def test_what_is_somebody_else_s_is_an_error(outdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    path = made(outdir / "tool", 0o4755)
    monkeypatch.setattr(os, "chmod", refused)
    with pytest.raises(OutputError, match=r"align: .*/tool would run with its owner's rights"):
        clear_setuid({"made": file(path)}, outdir, name="align")
