"""Drive the command line as a user does, and say what every refusal must look like."""

import json
import re
import signal
import subprocess
import textwrap
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.commands import BIN

TIME_LIMIT_S = 180


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended and what it said."""

    code: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def outputs(self) -> dict[str, object]:
        """The output object of a run that succeeded."""
        assert self.code == 0, self.stderr
        found = json.loads(self.stdout)
        assert isinstance(found, dict)
        return found


class Started:
    """A command that runs on its own."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it where it stands, and wait until it is gone."""
        self.signal(signal.SIGKILL)
        self.ended()

    def ended(self, timeout_s: float = TIME_LIMIT_S) -> Ended:
        began = time.monotonic()
        stdout, stderr = self.process.communicate(timeout=timeout_s)
        return Ended(code=self.process.returncode, stdout=stdout, stderr=stderr, seconds=time.monotonic() - began)


def as_in_a_terminal() -> None:
    """Undo what nohup and background jobs of a shell leave to their children: signals that are ignored."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandLine:
    """The commands of the product in a home that only these tests use; files are written to a directory of the test."""

    environment: Mapping[str, str]
    directory: Path
    _started: list[Started] = field(default_factory=list, init=False)

    def kill_rest(self) -> None:
        """Kill what was started and has not ended, as a test leaves it that fails."""
        for each in self._started:
            if each.process.poll() is None:
                each.kill()

    @property
    def home(self) -> Path:
        return Path(self.environment["CWL_PREFECT_HOME"])

    @property
    def outdir(self) -> Path:
        return self.directory / "results"

    def write(self, name: str, text: str) -> Path:
        """Write a file; the text may be indented as the code around it."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
        return path

    def start(
        self,
        *arguments: str | Path,
        program: str = "cwl-prefect",
        environment: Mapping[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.PIPE,
        stderr: int = subprocess.PIPE,
    ) -> Started:
        process = subprocess.Popen(
            [str(BIN / program), *map(str, arguments)],
            cwd=self.directory,
            env={**self.environment, **(environment or {})},
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            text=True,
            start_new_session=True,
            preexec_fn=as_in_a_terminal,  # noqa: PLW1509 - no thread runs here
        )
        self._started.append(Started(process))
        return self._started[-1]

    def __call__(
        self, *arguments: str | Path, program: str = "cwl-prefect", environment: Mapping[str, str] | None = None
    ) -> Ended:
        return self.start(*arguments, program=program, environment=environment).ended()

    def run(self, *arguments: str | Path, environment: Mapping[str, str] | None = None) -> Ended:
        """Run a document with results in a directory of their own."""
        return self("run", "--outdir", self.outdir, *arguments, environment=environment)


def assert_refused(ended: Ended, code: int, *texts: str, outdir: Path | None = None) -> None:
    """Demand one clear error: the documented exit code, nothing on stdout, no traceback, nothing half-written."""
    assert ended.code == code, ended.stderr
    assert ended.stdout == ""
    assert len(re.findall(r"^Error: ", ended.stderr, re.MULTILINE)) == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "internal error" not in ended.stderr
    for text in texts:
        assert text in ended.stderr
    if outdir is not None:
        assert_nothing_written(outdir)


def assert_nothing_written(outdir: Path) -> None:
    """Demand that a directory for results does not exist, or holds nothing, hidden files included."""
    assert not outdir.exists() or list(outdir.iterdir()) == []


def processes(command: Sequence[str]) -> list[int]:
    """Find the processes of this machine that run a command."""
    return [
        each.pid
        for each in psutil.process_iter(["cmdline", "status"])
        if each.info["cmdline"] == list(command) and each.info["status"] != psutil.STATUS_ZOMBIE
    ]
