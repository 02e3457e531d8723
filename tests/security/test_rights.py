"""Whatever the umask, nobody else reads or writes what the program keeps; results have the rights that it leaves."""

import stat
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.commands import BIN, command_environment

pytestmark = pytest.mark.server

# A small and a large file: the cache keeps the one in its entry, the other as an object.
TOOL = """
cwlVersion: v1.2
class: CommandLineTool
baseCommand: [sh, -c, "head -c 300000 /dev/zero > large; mkdir d; echo $0 > d/small"]
inputs: {word: {type: string, default: hi, inputBinding: {}}}
outputs:
  large: {type: File, outputBinding: {glob: large}}
  d: {type: Directory, outputBinding: {glob: d}}
"""
FAILING = """
cwlVersion: v1.2
class: CommandLineTool
baseCommand: [sh, -c, "echo > left; exit 3"]
inputs: []
outputs: []
"""
RUN = "run --backend local --keep always --outdir first tool.cwl"
COMMANDS = (
    RUN,
    "run --backend local --outdir second --report report.html --trace trace.tsv tool.cwl",
    "run --backend local --outdir third --batch one.yml -- tool.cwl",
    "run --backend local --outdir fourth failing.cwl",
    "runs ls",
    "cache verify",
    "doctor",
)


@pytest.fixture
def environment(open_place: Path) -> Iterator[Mapping[str, str]]:
    yield from command_environment(open_place)


@pytest.fixture
def commands(environment: Mapping[str, str], open_place: Path) -> Callable[..., None]:
    """Call commands with an umask, one after the other."""
    work = open_place / "work"
    work.mkdir()
    texts = {"tool.cwl": TOOL, "failing.cwl": FAILING, "one.yml": "word: other"}
    for name, text in texts.items():
        (work / name).write_text(text)

    def call(umask: int, *lines: str) -> None:
        for line in lines:
            subprocess.run(
                [BIN / "cwl-prefect", *line.split()],
                cwd=work,
                env=environment,
                umask=umask,
                capture_output=True,
                timeout=180,
                check=not line.endswith(("failing.cwl", "doctor")),
            )

    return call


def below(directory: Path) -> dict[Path, int]:
    """Return the rights of a directory and of all that lies below it, but for links."""
    found = [directory, *directory.rglob("*")]
    return {path: stat.S_IMODE(path.stat().st_mode) for path in found if not path.is_symlink()}


def made_by_tools(path: Path, home: Path) -> bool:
    """Check whether something lies in the workspace of a call, or is such a file that the cache keeps."""
    parts = path.relative_to(home).parts
    return (parts[:1] == ("runs",) and len(parts) > 4) or (parts[:2] == ("cache", "objects") and path.is_file())


@pytest.mark.parametrize("umask", [0o000, 0o077], ids=oct)
def test_the_home_is_private_and_results_follow_the_umask(
    commands: Callable[..., None], open_place: Path, umask: int
) -> None:
    commands(umask, *COMMANDS)
    home = open_place / "cwl-prefect"
    kept = {path: rights for path, rights in below(home).items() if not made_by_tools(path, home)}
    names = {path.relative_to(home).parts[0] for path in kept if path != home}
    assert {"cache", "plans", "reports", "runs", "server"} <= names
    wrong = {str(path): oct(rights) for path, rights in kept.items() if rights != (0o700 if path.is_dir() else 0o600)}
    assert wrong == {}
    for results in ("first", "second", "third"):
        seen = below(open_place / "work" / results)
        assert {rights for path, rights in seen.items() if path.is_dir()} == {0o777 & ~umask}
        assert {rights & ~0o666 for path, rights in seen.items() if path.is_file()} == {0}
        assert {rights & umask for rights in seen.values()} == {0}


def test_a_second_user_reads_and_writes_nothing_of_the_home(
    commands: Callable[..., None], open_place: Path, second_user: Callable[..., str]
) -> None:
    commands(0o000, RUN)
    home = open_place / "cwl-prefect"
    assert "tool.cwl" in second_user("ls", open_place / "work")
    assert "Permission denied" in second_user("ls", home)
    assert "Permission denied" in second_user("touch", home / "plans" / "forged")
