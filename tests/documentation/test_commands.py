"""Every command and every Python example that the documentation shows is run, in a copy of what the reader has."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import BIN, PROJECT, command_environment
from tests.documentation.blocks import Block, blocks
from tests.object_store import running_store

pytestmark = pytest.mark.server

TIME_LIMIT_S = 300
ENGINES = ("docker", "kubernetes")
# Covered by test_pages.py (the extras and targets that they name exist), tests/deployments and tests/kubernetes.
NOT_RUN = ("pip ", "make ", "docker ", "kubectl ")
# What these say, no later command of a page needs: each runs where it is shown first.
SAID_ONCE = ("validate ", "graph ", "inputs ", "doctor", "config show", "server status", "server logs", "server stop")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Readers try things one after the other, with one home and one server."""
    yield from command_environment(tmp_path_factory.mktemp("reader"), standby_s=300)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The project's folder as far as the documentation uses it."""
    for name in ("examples", "deployments"):
        shutil.copytree(PROJECT / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def store(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """The variables of a store with what the reader has in it, for a block that needs one."""
    if "needs a store" not in request.getfixturevalue("block").note:
        yield {}
        return
    scenes = PROJECT / "examples/cwl/water/data"
    with running_store() as running:
        running.create()
        for path in scenes.rglob("*.*"):
            running.put(f"scenes/{path.relative_to(scenes)}", path.read_bytes())
        yield running.environment


def runnable(language: str) -> Iterator[object]:
    """Find the blocks that are run, each with what of it runs: what stands for itself only where it is shown first."""
    seen: set[str] = set()
    for block in blocks(language):
        commands = block.lines if language == "sh" else [block.text]
        run = [
            each for each in commands if not (each.startswith(NOT_RUN) or (each in seen and stands_for_itself(each)))
        ]
        if run and block.text not in seen:
            marks = [getattr(pytest.mark, engine) for engine in ENGINES if f"needs {engine}" in block.note]
            yield pytest.param(block, "\n".join(run), id=block.name, marks=marks)
        seen |= {*commands, block.text}


def stands_for_itself(command: str) -> bool:
    return command.startswith(tuple(f"cwl-prefect {each}" for each in SAID_ONCE)) or command.endswith(" --help")


@pytest.mark.parametrize(("block", "script"), list(runnable("sh")))
def test_shell(block: Block, script: str, environment: dict[str, str], store: dict[str, str], folder: Path) -> None:
    done = subprocess.run(
        ["sh", "-e", "-c", script],
        env=environment | store,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT_S,
        check=False,
    )

    assert done.returncode == block.exit_code, done.stderr
    assert "Traceback" not in done.stderr


PLUGIN = "cwl_prefect.testing.plugin"

EXAMPLES = """\
import doctest, sys
from cwl_prefect import api, testing
for module in (api, testing):
    for name in module.__all__:
        for test in doctest.DocTestFinder(recurse=False).find(getattr(module, name), name, globs={}):
            doctest.DocTestRunner().run(test)
"""


def test_the_examples_of_public_names(environment: dict[str, str], folder: Path) -> None:
    """The examples deploy to a pool that is there, as those of the deployment's page do."""
    make_pool = ["cwl-prefect", "pool", "create", "here", "--type", "process", "--keep"]
    subprocess.run([BIN / make_pool[0], *make_pool[1:]], env=environment, check=True, capture_output=True)

    done = subprocess.run(
        [sys.executable, "-c", EXAMPLES], env=environment, cwd=folder, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(("block", "text"), list(runnable("python")))
def test_python(block: Block, text: str, environment: dict[str, str], folder: Path) -> None:
    script = folder / "test_example.py"
    script.write_text(text, "utf-8")
    program = ["-m", "pytest", "-p", PLUGIN] if "def test_" in text else []

    done = subprocess.run(
        [sys.executable, *program, script],
        env=environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT_S,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() != ""
