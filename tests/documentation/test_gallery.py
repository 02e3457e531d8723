"""The gallery of examples shows all of them, as they are."""

from pathlib import Path

import pytest

from tests.documentation.drawings import EXAMPLES, GALLERY, PICTURES, drawing, drawn


def test_every_example_has_a_section() -> None:
    titles = [line[3:].split(":")[0] for line in GALLERY.read_text("utf-8").splitlines() if line.startswith("## ")]

    assert sorted(titles) == sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir())


def test_every_example_is_run_as_the_gallery_says() -> None:
    names = [path.name for path in EXAMPLES.iterdir() if path.is_dir()]
    tried = (EXAMPLES / "tests.yml").read_text("utf-8")

    assert [name for name in names if f"tool: {name}/{name}.cwl\n    job: {name}/{name}.yml" not in tried] == []


@pytest.mark.parametrize("picture", [pytest.param(path, id=path.stem) for path in drawn()])
def test_a_graph_is_that_of_its_example(picture: Path) -> None:
    assert picture.read_text("utf-8") == drawing(picture), "draw it anew by: python -m tests.documentation.drawings"


def test_every_picture_is_shown() -> None:
    shown = GALLERY.read_text("utf-8")

    assert [path.name for path in drawn() if f"({path.relative_to(PICTURES.parents[1])})" not in shown] == []
