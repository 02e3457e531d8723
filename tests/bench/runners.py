"""The two runners that are compared, each called as a whole process on compiled bytecode."""

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from types import MappingProxyType

from cwl_prefect.server.standby.place import IDLE_VARIABLE
from tests.bench.processes import BenchError, Run, run
from tests.bench.workloads import Workload

BIN = Path(sys.executable).parent
OURS, REFERENCE = "cwl-prefect", "cwltool"
STANDBY_S = 20.0


def clean_environment() -> dict[str, str]:
    """Give the environment of this process without what would change how either runner works."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT_", "CWL_PREFECT_")) and name != "PYTHONDONTWRITEBYTECODE"
    }


ALONE = {IDLE_VARIABLE: "0"}
"""Lets each command start by itself."""


def home_environment(home: Path) -> dict[str, str]:
    """Give the environment of a user whose home directory is `home`, where nobody else's processes stand by."""
    places = {
        "HOME": home,
        "XDG_CACHE_HOME": home / ".cache",
        "XDG_RUNTIME_DIR": home,
        "TMPDIR": home,  # cwltool leaves empty directories behind
        "CWL_PREFECT_HOME": home / ".cache" / "cwl-prefect",
    }
    return clean_environment() | {name: str(path) for name, path in places.items()}


class Runners:
    """Runs workloads in a scratch directory that does not outlive the benchmark."""

    def __init__(self, scratch: Path, *, standby: bool) -> None:
        self.scratch = scratch
        self.standby = standby
        self.home = scratch / "home"
        self.home.mkdir()

    def ours(
        self,
        workload: Workload,
        *,
        home: Path | None = None,
        container: bool = False,
        cache: Path | None = None,
        alone: bool = False,
        more: Mapping[str, str] = MappingProxyType({}),
    ) -> Run:
        """Run cwl-prefect and check its outputs; the call cache is on, and empty where none is given.

        With `alone` the command does all by itself, so that its process is the one whose memory and processor time
        count. `more` are further variables.
        """
        command = [str(BIN / OURS), "run", *([] if container else ["--no-container"])]
        command += ["--cache", str(cache or self.cache())]
        environment = home_environment(home or self.home)
        return self._measure(command, workload, environment | (ALONE if alone or not self.standby else {}) | more)

    def until_one_stands_by(self) -> None:
        """Wait for the process that the last run left behind for the next.

        Raises:
            BenchError: There is none.
        """
        runtime, settled = Path(home_environment(self.home)["XDG_RUNTIME_DIR"]), monotonic() + STANDBY_S
        while self.standby and not any(runtime.glob("cwl-prefect-*/*.sock")):
            if monotonic() > settled:
                raise BenchError("no process stands by after a run")
            sleep(0.1)

    def reference(self, workload: Workload, *, container: bool = False, cache: Path | None = None) -> Run:
        """Run cwltool and check its outputs."""
        command = [str(BIN / REFERENCE), "--parallel", *([] if container else ["--no-container"])]
        command += [] if cache is None else ["--cachedir", str(cache)]
        return self._measure(command, workload, home_environment(self.home))

    def cache(self) -> Path:
        """Give a directory for a call cache that was never used."""
        return self._directory() / "cache"

    def command(self, arguments: list[str], *, home: Path, exit_code: int = 0) -> Run:
        """Run another command of cwl-prefect, by itself, in a home."""
        environment = home_environment(home) | ALONE
        return run([str(BIN / OURS), *arguments], env=environment, logs=self._directory(), exit_code=exit_code)

    def server(self, action: str, *, home: Path | None = None) -> None:
        """Start or stop the local server of a home."""
        self.command(["server", action], home=home or self.home)

    @contextmanager
    def fresh_home(self) -> Iterator[Path]:
        """Give a home that was never used, whose server is stopped afterwards."""
        home = self._directory()
        try:
            yield home
        finally:
            self.server("stop", home=home)

    def _measure(self, command: list[str], workload: Workload, environment: Mapping[str, str]) -> Run:
        logs = self._directory()
        outdir = logs / "outputs"
        done = run(
            [*command, "--outdir", str(outdir), str(workload.document), str(workload.job_order)],
            env=environment,
            logs=logs,
        )
        workload.verify(json.loads(done.stdout))
        return done

    def _directory(self) -> Path:
        """Give a directory that stays as long as the others: file systems are slow where much was just deleted."""
        return Path(tempfile.mkdtemp(dir=self.scratch))
