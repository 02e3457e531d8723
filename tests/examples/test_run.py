"""Every example through the command line, against what tests.yml says that it gives."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cwltest.compare import compare

from tests.commands import BIN, command_environment
from tests.examples.test_listed import EXAMPLES, entries

pytestmark = pytest.mark.server

TIME_LIMIT_S = 180


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Commands share one home, and so one server."""
    yield from command_environment(tmp_path_factory.mktemp("examples"), standby_s=300)


def cases() -> Iterator[object]:
    for entry in entries():
        marks = [pytest.mark.docker] if "docker" in entry["tags"] else []  # type: ignore[operator]
        yield pytest.param(entry, id=str(entry["id"]), marks=marks)


@pytest.mark.parametrize("entry", list(cases()))
def test_gives_what_it_promises(entry: dict[str, object], environment: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        [BIN / "cwl-prefect", "run", "--outdir", tmp_path / "out", EXAMPLES / entry["tool"], EXAMPLES / entry["job"]],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT_S,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    compare(entry["output"], json.loads(done.stdout))
    assert "Traceback" not in done.stderr


def test_examples_run_by_their_first_line(environment: dict[str, str], tmp_path: Path) -> None:
    script = EXAMPLES / "hello" / "hello.cwl"
    first = script.read_text("utf-8").splitlines()[0]

    done = subprocess.run(
        [*first.removeprefix("#!").split(), script, "--message", "by itself"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT_S,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "greeting.txt").read_text("utf-8") == "by itself\n"


def test_the_demo_needs_no_container_and_no_node(environment: dict[str, str], tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("awk", "sort"):
        (tools / name).symlink_to(
            next(path for path in map(Path, ("/usr/bin", "/bin")) if (path / name).exists()) / name
        )
    (tools / "python3").symlink_to(sys.executable)

    done = subprocess.run(
        [BIN / "cwl-prefect", "run", "--backend", "local", "--outdir", tmp_path / "out",
         EXAMPLES / "vegetation/vegetation.cwl", EXAMPLES / "vegetation/vegetation.yml"],
        env=environment | {"PATH": str(tools)},
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT_S,
        check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["greenest_scene"] == "2024-07"
