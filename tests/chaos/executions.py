"""Which calls of a run were executed, when, and which results were kept at a moment."""

import contextlib
import json
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cwl_prefect.backends.naming import FLOW_RUN_LABEL, NAME_LABEL

_NANO = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Executions:
    """When a run's calls began and ended to be executed, by name and in order."""

    began: Mapping[str, list[float]]
    ended: Mapping[str, list[float]]  # with success

    def began_before(self, name: str, moment: float) -> float:
        """Tell when the execution of a call began that ended at a moment."""
        return max((began for began in self.began[name] if began <= moment), default=moment)

    def after(self, moment: float) -> set[str]:
        """Name the calls that began to be executed after a moment."""
        return {name for name, moments in self.began.items() if max(moments) > moment}


class ContainerEvents:
    """Listens to the engine while it is open: what began and ended in it, whoever asks later."""

    def __init__(self) -> None:
        import docker

        self._client = docker.from_env(timeout=None)
        self._stream = self._client.events(decode=True, filters={"type": "container", "event": ["start", "die"]})
        self._found: dict[str, list[tuple[str, str, float]]] = defaultdict(list)
        self._thread = threading.Thread(target=self._listen, name="container-events", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Listen no more."""
        self._stream.close()
        self._client.close()
        self._thread.join(10)

    def executions(self, run_ids: set[str]) -> Executions:
        """Give what was executed in containers of some runs."""
        began, ended = defaultdict(list), defaultdict(list)
        for run_id in run_ids:
            for what, name, moment in list(self._found[run_id]):
                if what in ("start", "die 0"):
                    (began if what == "start" else ended)[name].append(moment)
        return Executions(began=began, ended=ended)

    def _listen(self) -> None:
        with contextlib.suppress(Exception):  # the stream is closed under its reader
            for event in self._stream:
                labels = event["Actor"]["Attributes"]
                if FLOW_RUN_LABEL not in labels:
                    continue
                what = "start" if event["Action"] == "start" else f"die {labels.get('exitCode')}"
                self._found[labels[FLOW_RUN_LABEL]].append((what, labels[NAME_LABEL], event["timeNano"] * _NANO))


def logged(log: Path) -> Executions:
    """Give what tools noted themselves, each line as ``began count 3 1700000000.5``."""
    moments: dict[str, dict[str, list[float]]] = {"began": defaultdict(list), "ended": defaultdict(list)}
    for what, name, part, moment in (line.split() for line in log.read_text().splitlines()):
        moments[what][_name(name, int(part))].append(float(moment))
    return Executions(**moments)


def kept(cache: Path) -> set[str]:
    """Name the calls whose results the call cache has now."""
    return set(_entries(cache))


def _entries(cache: Path) -> Iterator[str]:
    for path in (cache / "entries").glob("??/[!.]*"):
        entry = json.loads(path.read_bytes().partition(b"\n")[2])["entry"]
        yield _name(entry["step"], entry["key"]["parts"]["inputs"].get("part", 0))


def _name(step: str, part: int) -> str:
    return f"{step}[{part - 1}]" if part else step
