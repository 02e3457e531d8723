"""The documentation says what is so: its tables, options, links and make targets."""

import re
import tomllib
from pathlib import Path

import pytest

from cwl_prefect.configuration import NAME
from cwl_prefect.model.overrides import ToolOverride
from cwl_prefect.settings import Settings
from tests.documentation.blocks import PAGES, PROJECT, Block, blocks, section
from tests.documentation.tables import TABLES

LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("name", TABLES)
def test_tables_follow_the_code(name: str) -> None:
    page, table = TABLES[name]

    assert section(page, name) == table(), "bring it up to date by: python -m tests.documentation.tables"


@pytest.mark.parametrize("page", [pytest.param(page, id=str(page.relative_to(PROJECT))) for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    broken = [target for target in LINK.findall(page.read_text("utf-8")) if not (page.parent / target).exists()]

    assert broken == []


@pytest.mark.parametrize("block", [pytest.param(block, id=block.name) for block in blocks("toml")])
def test_a_file_of_settings_can_be_used(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / NAME).write_text(block.text)
    settings = Settings()

    assert settings.model_fields_set >= tomllib.loads(block.text).keys()
    for changes in settings.step_overrides.values():
        ToolOverride.model_validate(changes)


def _make_blocks() -> list[object]:
    return [pytest.param(block, id=block.name) for block in blocks("sh") if "make " in block.text]


@pytest.mark.parametrize("block", _make_blocks())
def test_make_targets_exist(block: Block) -> None:
    targets = set(re.findall(r"^([a-z-]+):.*?## ", (PROJECT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = {line.split()[1] for line in block.lines if line.startswith("make ")}

    assert named <= targets


def test_extras_exist() -> None:
    declared = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    named = {extra for page in PAGES for extra in re.findall(r"cwl-prefect\[([a-z]+)\]", page.read_text("utf-8"))}

    assert named <= declared.keys()


def test_every_page_is_in_the_menu() -> None:
    menu = (PROJECT / "mkdocs.yml").read_text("utf-8")
    pages = [str(page.relative_to(PROJECT / "docs")) for page in (PROJECT / "docs").rglob("*.md")]

    assert [page for page in pages if page not in menu] == []


SOUGHT = {"singularity", "slurm", "macos", "windows", "provenance", "progress", "offline", "registry", "gpu", "conda"}


def test_what_newcomers_search_for_is_found() -> None:
    text = "".join(page.read_text("utf-8") for page in (PROJECT / "docs").rglob("*.md"))

    assert SOUGHT - set(re.findall(r"\w+", text.lower())) == set()
