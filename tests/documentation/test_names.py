"""What the documentation names is there: commands, options, settings, and names of Python."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from cwl_prefect import api, testing
from cwl_prefect.settings import Settings
from tests.documentation.blocks import PAGES, PROJECT, blocks
from tests.documentation.command_line import CODE, commands, unknown

REFERENCE = PROJECT / "docs" / "reference"
PAGE = [pytest.param(page, id=str(page.relative_to(PROJECT))) for page in PAGES]
# What tests read, and what the compose file does.
NO_SETTINGS = {"REQUIRE_ENGINES", "IMAGE"}
# Inputs of workflows, options of the program itself, and those of cwltool, Toil and Docker.
OPTIONS_OF_OTHERS = {
    *("--", "--key", "--message", "--no-trim", "--reads", "--trim"),
    *("--show-completion", "--version"),
    *("--build-arg", "--cachedir", "--doubleMem", "--restart"),
}


def test_the_reference_names_every_command_and_option() -> None:
    text = (REFERENCE / "commands.md").read_text("utf-8")

    long = [(name, option) for name, options in commands().items() for option in options if option.startswith("--")]
    missing = [f"{name} {option}" for name, option in long if option not in text]
    silent = [name for name in commands() if name.split()[-1] not in text]

    assert (missing, silent) == ([], [])


@pytest.mark.parametrize("page", PAGE)
def test_commands_that_a_page_names_exist(page: Path) -> None:
    groups = tuple(f"{name.split()[0]} " for name in commands() if " " in name)  # as in `runs ls`
    codes = CODE.findall(page.read_text("utf-8"))
    lines = [code for code in codes if code.startswith("cwl-prefect ")]
    lines += [f"cwl-prefect {code}" for code in codes if code.startswith(groups)]

    assert [each for line in lines for each in unknown(line)] == []


@pytest.mark.parametrize("page", PAGE)
def test_options_that_a_page_names_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    if page.name == "coming-from.md":  # what others have is in the first column
        text = "\n".join(row.rpartition(" | ")[2] for row in text.splitlines())
    known = {option for options in commands().values() for option in options} | OPTIONS_OF_OTHERS

    options = [re.split(r"[ =]", code)[0] for code in CODE.findall(text) if code.startswith("--")]
    assert set(options) - known == set()


@pytest.mark.parametrize("page", PAGE)
def test_variables_that_a_page_names_are_settings(page: Path) -> None:
    settings = {name.upper() for name in Settings.model_fields} | NO_SETTINGS
    named = re.findall(r"CWL_PREFECT_([A-Z_]+)\b", page.read_text("utf-8"))

    assert set(named) - settings == set()


def _imported() -> Iterator[tuple[str, str]]:
    """Find what the examples import from this package: a module, and a name in it."""
    for block in blocks("python"):
        for node in ast.walk(ast.parse(block.text)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "cwl_prefect":
                yield from ((str(node.module), name.name) for name in node.names)


def _listed() -> Iterator[str]:
    """Find what the reference lists: names, and modules of which it lists all."""
    for entry in (REFERENCE / "python.md").read_text("utf-8").split("\n::: ")[1:]:
        members = re.search(r"members: \[([^\]]*)\]", entry)
        name = entry.split()[0]
        yield from (f"{name}.{member}" for member in members[1].split(", ")) if members else [name]


@pytest.mark.parametrize("name", sorted(set(_imported())), ids=".".join)
def test_the_reference_of_python_has_what_examples_import(name: tuple[str, str]) -> None:
    module = api if name[0] == "cwl_prefect" else importlib.import_module(name[0])
    home = getattr(module, name[1]).__module__

    assert {f"{home}.{name[1]}", home} & set(_listed())


def test_the_reference_of_python_has_all_that_is_public() -> None:
    listed = set(_listed())
    public = [getattr(module, name) for module in (api, testing) for name in module.__all__]

    assert [each for each in public if not {each.__module__, f"{each.__module__}.{each.__name__}"} & listed] == []
