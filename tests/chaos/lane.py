"""A home with a server of its own, in which one run after the other is killed."""

import contextlib
import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from tests.chaos.workflow import PARTS, WORKFLOW, write_text, write_tools
from tests.commandline.driving import CommandLine
from tests.deployments.site import Site

POOL = "mortal"
GROUPS = {"CWL_PREFECT_GROUP_THRESHOLD": "2", "CWL_PREFECT_GROUP_SIZE": "3"}


@dataclass(frozen=True, kw_only=True)
class Lane:
    """A home, and where the files of its runs are."""

    environment: Mapping[str, str]
    directory: Path

    @property
    def home(self) -> Path:
        """What the product keeps for its user."""
        return Path(self.environment["CWL_PREFECT_HOME"])

    @functools.cached_property
    def site(self) -> Site:
        """The home's server as one that workers use; it has a pool for them."""
        site = Site(dict(self.environment), self.directory)
        site.run("cwl-prefect", "pool", "create", POOL, "--type", "process")
        return site

    @functools.cached_property
    def deployment(self) -> str:
        """The workflow as a deployment."""
        write_tools(self.directory)
        return self.site.deploy(WORKFLOW, pool=POOL)

    def serve(self) -> None:
        """Start the server where it was killed when no run used it any more, as the next command would."""
        try:
            self.site.get("health")
        except httpx.TransportError:
            self.site.run("cwl-prefect", "server", "start")

    def server_pid(self) -> int | None:
        """Give the server's process, if there is one."""
        with contextlib.suppress(OSError, ValueError):
            return int(json.loads((self.home / "server" / "server.json").read_text())["pid"])
        return None

    def place(self, name: str, *, wide: bool = False) -> "Place":
        """Make a directory for a run; ``wide`` tells whether its scatter is."""
        directory = self.directory / name
        directory.mkdir()
        (directory / "tmp").mkdir()
        place = Place(lane=self, directory=directory, wide=wide)
        place.log.touch()
        write_text(directory / "text.txt")
        return place


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where all that one run writes is to be, results of deployments aside."""

    lane: Lane
    directory: Path
    wide: bool = False

    @property
    def log(self) -> Path:
        """Where tools note what they do."""
        return self.directory / "log"

    @property
    def runs(self) -> Path:
        """The run's workspaces."""
        return self.directory / "runs"

    @property
    def cache(self) -> Path:
        """A call cache for this run alone."""
        return self.directory / "cache"

    @property
    def environment(self) -> dict[str, str]:
        """What every process of the run has in its environment."""
        return {
            "CWL_PREFECT_WORKDIR": str(self.runs),
            "CWL_PREFECT_CACHE_URL": str(self.cache),
            "TMPDIR": str(self.directory / "tmp"),
            **(GROUPS if self.wide else {}),
        }

    @property
    def command(self) -> CommandLine:
        """The product's commands."""
        return CommandLine(environment={**self.lane.environment, **self.environment}, directory=self.directory)

    @property
    def order(self) -> dict[str, object]:
        """The inputs."""
        text = {"class": "File", "location": (self.directory / "text.txt").as_uri()}
        return {"text": text, "parts": list(PARTS), "log": str(self.log)}

    def processes(self) -> Iterator[psutil.Process]:
        """Give all processes that were started for the run, tools of the local backend aside; the server is none."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("CWL_PREFECT_WORKDIR") == str(self.runs) and not self._is_server(process):
                    yield process

    def drivers(self) -> list[int]:
        """Give the processes that drive a run here, as they noted themselves."""
        found = []
        for path in self.runs.glob("*/.driver"):
            with contextlib.suppress(OSError, ValueError):
                found.append(int(path.read_text().split()[-1]))
        return found

    def run_ids(self) -> set[str]:
        """Give the runs that have workspaces now."""
        return {path.parent.name for path in self.runs.glob("*/run.json")}

    def _is_server(self, process: psutil.Process) -> bool:
        return process.pid == self.lane.server_pid() and process.status() != psutil.STATUS_ZOMBIE
