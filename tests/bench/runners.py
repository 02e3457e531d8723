"""The two runners that are compared, each called as a whole process on compiled bytecode."""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.bench.processes import Run, run
from tests.bench.workloads import Workload

BIN = Path(sys.executable).parent
OURS, REFERENCE = "cwl-prefect", "cwltool"


def clean_environment() -> dict[str, str]:
    """Give the environment of this process without what would change how either runner works."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT_", "CWL_PREFECT_")) and name != "PYTHONDONTWRITEBYTECODE"
    }


def home_environment(home: Path) -> dict[str, str]:
    """Give the environment of a user whose home directory is `home`."""
    places = {"HOME": home, "XDG_CACHE_HOME": home / ".cache", "CWL_PREFECT_HOME": home / ".cache" / "cwl-prefect"}
    return clean_environment() | {name: str(path) for name, path in places.items()}


class Runners:
    """Runs workloads in a scratch directory that does not outlive the benchmark."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.home = scratch / "home"
        self.home.mkdir()

    def ours(
        self, workload: Workload, *, home: Path | None = None, container: bool = False, cache: Path | None = None
    ) -> Run:
        """Run cwl-prefect and check its outputs; the call cache is on, and empty where none is given."""
        command = [str(BIN / OURS), "run", *([] if container else ["--no-container"])]
        with self._directory() as empty:
            command += ["--cache", str(cache or empty / "cache")]
            return self._measure(command, workload, home_environment(home or self.home))

    def reference(self, workload: Workload, *, container: bool = False, cache: Path | None = None) -> Run:
        """Run cwltool and check its outputs."""
        command = [str(BIN / REFERENCE), "--parallel", *([] if container else ["--no-container"])]
        command += [] if cache is None else ["--cachedir", str(cache)]
        return self._measure(command, workload, home_environment(self.home))

    @contextmanager
    def cache(self) -> Iterator[Path]:
        """Give a directory for a call cache that outlives single runs."""
        with self._directory() as directory:
            yield directory / "cache"

    def command(self, arguments: list[str], *, home: Path) -> Run:
        """Run another command of cwl-prefect in a home."""
        with self._directory() as logs:
            return run([str(BIN / OURS), *arguments], env=home_environment(home), logs=logs)

    def server(self, action: str, *, home: Path | None = None) -> None:
        """Start or stop the local server of a home."""
        with self._directory() as logs:
            run([str(BIN / OURS), "server", action], env=home_environment(home or self.home), logs=logs)

    @contextmanager
    def fresh_home(self) -> Iterator[Path]:
        """Give a home that was never used, whose server is stopped afterwards."""
        with self._directory() as home:
            try:
                yield home
            finally:
                self.server("stop", home=home)

    def _measure(self, command: list[str], workload: Workload, environment: Mapping[str, str]) -> Run:
        with self._directory() as logs:
            outdir = logs / "outputs"
            done = run(
                [*command, "--outdir", str(outdir), str(workload.document), str(workload.job_order)],
                env=environment,
                logs=logs,
            )
            workload.verify(json.loads(done.stdout))
            return done

    @contextmanager
    def _directory(self) -> Iterator[Path]:
        directory = Path(tempfile.mkdtemp(dir=self.scratch))
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)
