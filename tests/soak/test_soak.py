"""Many deployed runs, while workers, drivers and the server are killed: each ends as it has to, and nothing is left.

`make soak` runs 200 in 20 minutes on a process, a Docker and a Kubernetes pool; CI a few on a process pool. A seed says
what is started, cancelled and killed when.
"""

import heapq
import os
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import count

import pytest

from tests.commands import command_environment
from tests.deployments import image
from tests.deployments.in_cluster import prepared
from tests.deployments.site import Site
from tests.soak import audit
from tests.soak.operator import Operator
from tests.soak.plan import Kill, Plan, Start, planned
from tests.soak.platform import Platform
from tests.soak.pools import DockerPool, KubernetesPool, Pool, ProcessPool

RUNS = int(os.environ.get("SOAK_RUNS", "5"))
SECONDS = float(os.environ.get("SOAK_SECONDS", "15"))
SEED = int(os.environ.get("SOAK_SEED", "0"))
POOLS = os.environ.get("SOAK_POOLS", "process").split()
NAMESPACE = f"cwl-prefect-soak-{uuid.uuid4().hex[:8]}"

pytestmark = [pytest.mark.server, *(getattr(pytest.mark, name) for name in POOLS if name != "process")]

SETTLED_S = 120 + 10 * RUNS
LOOK_S = 4.0
LATE_S = 20.0  # so long a kill waits for somebody who drives a run
GONE_S = 60
MOST_DATABASE = 400 << 10  # bytes for each run with its task runs, most of them Prefect's events
MOST_HOME = 160 << 10  # bytes for each run, most of them its report


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A server and the pools that are asked for."""
    directory = tmp_path_factory.mktemp("soak")
    (directory / "tmp").mkdir()
    with ExitStack() as stack:
        environment = stack.enter_context(contextmanager(command_environment)(directory))
        site = Site({**environment, "TMPDIR": str(directory / "tmp")}, directory)
        flow_image = "" if POOLS == ["process"] else image.build(tmp_path_factory.mktemp("image"))
        if "kubernetes" in POOLS:
            stack.enter_context(prepared(NAMESPACE, directory / "shared"))
        yield Platform(site, [_pool(site, name, flow_image) for name in POOLS])


def _pool(site: Site, name: str, flow_image: str) -> Pool:
    if name == "docker":
        return DockerPool(site, name, site.directory / "docker", flow_image)
    if name == "kubernetes":
        return KubernetesPool(site, name, site.directory / "shared", flow_image, NAMESPACE)
    return ProcessPool(site, name, site.directory / "cwl-prefect")


class Soak:
    """Plays a plan on a platform."""

    def __init__(self, plan: Plan, platform: Platform) -> None:
        self.plan, self.platform = plan, platform
        self.operator = Operator(platform=platform)
        self.killed: list[str] = []
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._began_s = 0.0

    def play(self) -> None:
        """Do all that is planned, then wait until every run has ended."""
        self._began_s = time.monotonic()
        for start in self.plan.starts:
            self._at(start.at_s, partial(self._start, start))
        for kill in self.plan.kills:
            self._at(kill.at_s, partial(self._kill, kill))
        while self._due or self._now_s() < SECONDS:
            while self._due and self._due[0][0] <= self._now_s():
                heapq.heappop(self._due)[2]()
            self._pause()
        self.platform.end_schedules()
        while not self._pause() and self._now_s() < SECONDS + SETTLED_S:
            pass

    def _pause(self) -> bool:
        """Let the operator look, and time go by."""
        done = self.operator.look()
        until_s = self._now_s() + LOOK_S
        time.sleep(max(0.0, min(until_s, self._due[0][0] if self._due else until_s) - self._now_s()))
        return done

    def _start(self, start: Start) -> None:
        run = self.platform.start(start.pool, start.workflow, start.number)
        if start.cancel_after_s is not None:
            self._at(self._now_s() + start.cancel_after_s, partial(self._cancel, run))

    def _cancel(self, run: str) -> None:
        self.operator.unwanted.add(run)
        self.platform.cancel(run)

    def _kill(self, kill: Kill) -> None:
        what = self.platform.kill(kill.target, kill.pool, kill.choice)
        if what or self._now_s() > SECONDS + LATE_S:
            self.killed.append(f"{self._now_s():.0f} s: {kill.target} {what or '(nobody was there)'}")
        else:
            self._at(self._now_s() + LOOK_S, partial(self._kill, kill))

    def _at(self, at_s: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._due, (at_s, next(self._order), action))

    def _now_s(self) -> float:
        return time.monotonic() - self._began_s

    def told(self) -> str:
        """Say what happened, in figures."""
        states = Counter(run["state"]["name"] for run in self.platform.runs())
        operator = self.operator
        lines = [
            f"{sum(states.values())} runs in {self._now_s():.0f} s: {dict(states)}",
            f"killed: {self.killed}",
            f"cancelled: {len(operator.unwanted)}, resumed: {operator.resumed}, interrupted: {operator.interrupted}",
            f"causes: {dict(operator.causes)}",
            *operator.told,
        ]
        return "\n".join(lines)


def test_every_run_ends_as_it_has_to_and_leaves_nothing(platform: Platform, capsys: pytest.CaptureFixture[str]) -> None:
    soak = Soak(planned(SEED, runs=RUNS, seconds=SECONDS, pools=POOLS), platform)
    platform.deploy(soak.plan.interval_s)
    before = audit.grown(platform)
    with platform.working():
        soak.play()
    soak.operator.close()
    with capsys.disabled():
        print(f"\n{soak.told()}")
    assert audit.wrong_ends(platform, soak.operator) == []
    until_gone(platform)
    platform.collect()
    assert audit.workspaces(platform) == []
    after = audit.grown(platform)
    with capsys.disabled():
        print(f"grown from {before} to {after}")
    assert after.database - before.database <= MOST_DATABASE * after.runs
    assert after.home - before.home <= MOST_HOME * after.runs


def until_gone(platform: Platform) -> None:
    """Wait for what ends a while after its run."""
    deadline = time.monotonic() + GONE_S
    while (found := audit.left(platform)) and time.monotonic() < deadline:
        time.sleep(2)
    assert found == []
