"""The graphs of the examples in the documentation; ``python -m tests.documentation.drawings`` draws them anew."""

from pathlib import Path

from cwl_prefect import load_plan
from cwl_prefect.engine.workflow.graph import draw
from cwl_prefect.engine.workflow.svg import rendered
from tests.documentation.blocks import PROJECT

EXAMPLES = PROJECT / "examples" / "cwl"
GALLERY = PROJECT / "docs" / "examples.md"
PICTURES = PROJECT / "docs" / "images" / "examples"


def drawn() -> list[Path]:
    """Return the pictures that there are, each named after its example."""
    return sorted(PICTURES.glob("*.svg"))


def drawing(picture: Path) -> str:
    """Draw the example that a picture shows, as on a machine without Graphviz."""
    name = picture.stem
    return rendered(draw(load_plan(EXAMPLES / name / f"{name}.cwl"))) + "\n"


if __name__ == "__main__":
    for each in drawn():
        each.write_text(drawing(each), "utf-8")
