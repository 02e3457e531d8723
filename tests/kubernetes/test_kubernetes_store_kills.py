"""Runs whose files go by an object store, and whose driver, pod or store is killed at a seeded moment of a transfer.

CI plays a few; ``CHAOS_STORE_SEEDS`` says how many. A seed says what is killed, and after how much the store was told.
"""

import asyncio
import hashlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cwl_prefect.backends.kubernetes.api.client import KubernetesApi
from cwl_prefect.backends.kubernetes.objects import KubernetesObject, parts, text
from cwl_prefect.backends.naming import FLOW_RUN_LABEL
from tests.commandline.driving import CommandLine, Started
from tests.commandline.test_storage_block import SAVED
from tests.kubernetes.proxy import Door
from tests.object_store import ObjectStore, own_address, running_store
from tests.prefect_api import prefect_environment

pytestmark = [pytest.mark.kubernetes, pytest.mark.server]

SEEDS = int(os.environ.get("CHAOS_STORE_SEEDS", "3"))
FIRST_SEED = int(os.environ.get("CHAOS_FIRST_SEED", "0"))
LANES = int(os.environ.get("CHAOS_LANES", "3"))
TARGETS = ("driver", "pod", "store")
SAID = 80  # pieces that an undisturbed run tells the store
MOST_RESUMES, AWAY_S, GONE_S = 4, 3.0, 60.0
CONTENT = "".join(f"line {number}\n" for number in range(12_000))
PARTS = [1, 2]
WORKFLOW = """
    cwlVersion: v1.2
    class: Workflow
    requirements: {ScatterFeatureRequirement: {}, InlineJavascriptRequirement: {}}
    hints:
      DockerRequirement: {dockerPull: "busybox:1.35"}
      ResourceRequirement: {coresMin: 0.01, ramMin: 16, tmpdirMin: 1}
    inputs: {text: File, parts: "int[]"}
    outputs:
      made: {type: File, outputSource: upper/made}
      cut: {type: "File[]", outputSource: cut/o}
    steps:
      upper:
        in: {text: text}
        out: [made]
        run:
          class: CommandLineTool
          inputs: {text: File}
          outputs: {made: stdout}
          stdin: $(inputs.text.path)
          stdout: made.txt
          baseCommand: [tr, a-z, A-Z]
      cut:
        in: {text: upper/made, part: parts}
        out: [o]
        scatter: part
        run:
          class: CommandLineTool
          inputs: {text: {type: File, inputBinding: {position: 1}}, part: int}
          outputs: {o: stdout}
          stdout: $(inputs.part).txt
          baseCommand: [tail, -n]
          arguments: [$(inputs.part * 2000)]
    """


def expected() -> dict[str, str]:
    """Give the results of the workflow by their names."""
    made = CONTENT.upper()
    lines = made.splitlines(keepends=True)
    return {"made.txt": made, **{f"{part}.txt": "".join(lines[-part * 2000 :]) for part in PARTS}}


@dataclass(kw_only=True)
class Play:
    """A run that is disturbed."""

    seed: int
    command: CommandLine
    api: KubernetesApi
    store: ObjectStore
    run_ids: set[str] = field(default_factory=set)

    @property
    def runs(self) -> Path:
        return self.command.directory / f"runs-{self.seed}"

    @property
    def outdir(self) -> Path:
        return self.command.directory / f"results-{self.seed}"

    @property
    def prefix(self) -> str:
        return f"ws-{self.seed}"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "CWL_PREFECT_WORKDIR": str(self.runs),
            "CWL_PREFECT_WORKSPACES": self.store.url(self.prefix),
            "CWL_PREFECT_STORAGE_BLOCK": f"lab-{self.seed}",
            "CWL_PREFECT_CACHE_URL": str(self.command.directory / f"cache-{self.seed}"),
        }

    async def play(self) -> None:
        """Kill, resume until the run is complete, and look at what it gave and left."""
        chance = random.Random(self.seed)
        target, moment = TARGETS[self.seed % len(TARGETS)], chance.randrange(SAID)
        print(f"seed {self.seed}: {target} after {moment}")
        address = urlsplit(self.store.endpoint)
        door = Door(str(address.hostname), int(address.port or 80), own_address())
        await door.open()
        try:
            await asyncio.to_thread(self._save_block, f"http://{own_address()}:{door.port}")
            driver = self._started()
            while door.pieces < moment and driver.process.poll() is None:
                await asyncio.sleep(0.01)
            if target == "driver":
                driver.kill()
            elif target == "pod":
                await self._kill_pod(driver, chance)
            else:
                await door.shut()
                await asyncio.sleep(AWAY_S)
                await door.open()
            await self._finish(driver)
            print(f"seed {self.seed}: {door.pieces} in all")
            await self._look()
        finally:
            await door.shut()

    def _save_block(self, endpoint: str) -> None:
        own = {**self.command.environment, **prefect_environment(self.command.home)}
        saving = [sys.executable, "-c", SAVED.replace('"lab"', f'"lab-{self.seed}"'), endpoint, "key", "s3cret"]
        subprocess.run(saving, env=own, check=True, capture_output=True)

    def _started(self) -> Started:
        run = ("run", "--backend", "kubernetes", "--outdir", self.outdir, "flow.cwl", "order.json")
        return self.command.start(*run, environment=self.environment)

    def _begun(self) -> str | None:
        found = [path.parent.name for path in self.runs.glob("*/run.json")]
        self.run_ids.update(found)
        return found[0] if found else None

    async def _kill_pod(self, driver: Started, chance: random.Random) -> None:
        while driver.process.poll() is None:
            run = self._begun()
            found = [] if run is None else await self._of_run("pods", run)
            alive = [text(pod, "metadata", "name") for pod in found if text(pod, "status", "phase") != "Succeeded"]
            if alive:
                await self.api.delete_pod("default", chance.choice(sorted(alive)), at_once=True)
                return
            await asyncio.sleep(0.1)

    async def _finish(self, driver: Started) -> None:
        for _ in range(MOST_RESUMES):
            ended = await asyncio.to_thread(driver.ended)
            run = self._begun()
            if ended.code == 0:
                return
            assert "Traceback" not in ended.stderr
            driver = (
                self._started()
                if run is None
                else self.command.start("runs", "resume", run, environment=self.environment)
            )
        ended = await asyncio.to_thread(driver.ended)
        assert ended.code == 0, ended.stderr

    async def _look(self) -> None:
        delivered = {path.name: path.read_text() for path in self.outdir.iterdir()}
        assert "made.txt" in delivered.pop("cwl-prefect-outputs.json")
        assert delivered == expected()
        collected = await asyncio.to_thread(self.command, "workspace", "gc", environment=self.environment)
        assert collected.code == 0, collected.stderr
        for run in self.run_ids:
            deadline = time.monotonic() + GONE_S
            while (left := await self._left(run)) and time.monotonic() < deadline:
                await asyncio.sleep(0.5)
            assert left == []
        keys = self.store.keys(self.prefix)
        assert [key for key in keys if "/blobs/" not in key and "/programs/" not in key] == []
        for key in keys:
            if "/blobs/" in key:
                assert hashlib.sha1(self.store.content(key)).hexdigest() == key.rpartition("/")[2]
        assert [key for key in self.store.uploads() if key.startswith(f"{self.prefix}/")] == []

    async def _left(self, run: str) -> list[str]:
        """Name what is in the cluster of a run."""
        found = [(kind, each) for kind in ("pods", "secrets", "jobs") for each in await self._of_run(kind, run)]
        return [f"{kind} {text(each, 'metadata', 'name')}" for kind, each in found]

    async def _of_run(self, kind: str, run: str) -> list[KubernetesObject]:
        group = "/apis/batch/v1" if kind == "jobs" else "/api/v1"
        query = {"labelSelector": f"{FLOW_RUN_LABEL}={run}"}
        return parts(await self.api.request("GET", f"{group}/namespaces/default/{kind}", query=query), "items")


@pytest.fixture
def store() -> Iterator[ObjectStore]:
    with running_store(own_address()) as running:
        running.create()
        yield running


async def test_a_killed_run_ends_as_if_nothing_had_happened(
    command: CommandLine, api: KubernetesApi, store: ObjectStore
) -> None:
    command.write("flow.cwl", WORKFLOW)
    command.write("text.txt", CONTENT)
    command.write("order.json", json.dumps({"text": {"class": "File", "path": "text.txt"}, "parts": PARTS}))
    foreign = ("AWS_", "CWL_PREFECT_KUBERNETES_VOLUME")
    plain = {name: value for name, value in command.environment.items() if not name.startswith(foreign)}
    without = {**plain, "AWS_EC2_METADATA_DISABLED": "true", "NO_PROXY": own_address()}
    commands = CommandLine(environment=without, directory=command.directory)
    try:
        assert (await asyncio.to_thread(commands, "server", "start")).code == 0
        turns = asyncio.Semaphore(LANES)

        async def played(seed: int) -> None:
            """Play a seed in its turn."""
            async with turns:
                await Play(seed=seed, command=commands, api=api, store=store).play()

        seeds = range(FIRST_SEED, FIRST_SEED + SEEDS)
        ended = await asyncio.gather(*map(played, seeds), return_exceptions=True)
    finally:
        commands.kill_rest()
    failed = {seed: error for seed, error in zip(seeds, ended, strict=True) if error is not None}
    assert failed == {}
