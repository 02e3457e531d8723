"""What a person on duty does: resume what crashed, and end what nobody drives any more."""

import subprocess
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.commands import BIN
from tests.deployments.site import ENDED
from tests.soak.platform import Platform

AT_ONCE = 2
MOST_RESUMES = 4
DEAD_S = 20.0  # so long nobody drives a run that is not over, before the operator ends it
_LIMIT_S = 180


@dataclass(kw_only=True)
class Operator:
    """Looks at all runs from time to time, and does as the documentation says.

    Attributes:
        platform: What is operated.
        unwanted: Runs that somebody cancelled.
        resumed: How often a run was resumed.
        causes: What Prefect said of runs that crashed, and how often.
        interrupted: Runs that nobody drove any more.
        told: What commands said that failed.
    """

    platform: Platform
    unwanted: set[str] = field(default_factory=set)
    resumed: dict[str, int] = field(default_factory=dict)
    causes: Counter[str] = field(default_factory=Counter)
    interrupted: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    _busy: dict[str, "subprocess.Popen[str]"] = field(default_factory=dict)
    _dead_since: dict[str, float] = field(default_factory=dict)

    def look(self) -> bool:
        """Do what is due, and tell whether all is done."""
        self._collect()
        runs = self.platform.runs()
        for run in runs:
            if self._is_to_resume(run) and len(self._busy) < AT_ONCE:
                self.causes[f"{run['state']['name']}: {run['state']['message']}"] += 1
                self.resumed[run["id"]] = self.resumed.get(run["id"], 0) + 1
                self._busy[run["id"]] = self._command("runs", "resume", run["id"])
        self._end_dead(runs)
        waits = any(run["state"]["type"] not in ENDED or self._is_to_resume(run) for run in runs)
        return not waits and not self._busy

    def close(self) -> None:
        """End commands that still run."""
        for process in self._busy.values():
            process.kill()
            process.wait()

    def _is_to_resume(self, run: Mapping[str, Any]) -> bool:
        state, known = run["state"], run["id"] in self.unwanted
        ended = state["type"] == "CRASHED" or (state["type"] == "CANCELLED" and state["name"] == "Interrupted")
        return ended and not known and run["id"] not in self._busy and self.resumed.get(run["id"], 0) < MOST_RESUMES

    def _end_dead(self, runs: list[Any]) -> None:
        """Interrupt runs that are not over although nobody has driven them for a while."""
        alive = {run for pool in self.platform.pools.values() for run in pool.alive()} | self._busy.keys()
        open_runs = {run["id"] for run in runs if run["state"]["type"] in ("PENDING", "RUNNING", "CANCELLING")}
        now_s = time.monotonic()
        self._dead_since = {run: self._dead_since.get(run, now_s) for run in open_runs - alive}
        for run, since_s in list(self._dead_since.items()):
            if now_s - since_s > DEAD_S and len(self._busy) < AT_ONCE:
                self.interrupted.append(run)
                self._busy[run] = self._command("runs", "interrupt", "--force", run)
                del self._dead_since[run]

    def _command(self, *arguments: str) -> "subprocess.Popen[str]":
        site = self.platform.site
        return subprocess.Popen(
            [BIN / "cwl-prefect", *arguments],
            env=site.environment,
            cwd=site.directory,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _collect(self) -> None:
        for run, process in list(self._busy.items()):
            if process.poll() is not None:
                _, said = process.communicate(timeout=_LIMIT_S)
                if process.returncode != 0:
                    self.told.append(f"{' '.join(map(str, process.args[1:]))}: {process.returncode}: {said}")
                del self._busy[run]
