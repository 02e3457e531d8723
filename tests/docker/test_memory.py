"""A tool that runs out of memory in a real container, tried again with more."""

import asyncio
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from cwl_prefect.backends.docker.backend import DockerBackend
from cwl_prefect.errors import MemoryStepError
from cwl_prefect.flows.execution.backends import Backends
from tests.engines import answer
from tests.unit.flows.driving import Drive, drive, graph

pytestmark = pytest.mark.docker

HUNGRY = """\
- class: CommandLineTool
  id: hungry
  requirements:
    DockerRequirement: {dockerPull: python:3-slim}
    ResourceRequirement: {ramMin: 32, coresMin: 1}
  inputs: {mib: int}
  outputs: {said: {type: string, outputBinding: {glob: said, loadContents: true, outputEval: '$(self[0].contents)'}}}
  stdout: said
  baseCommand: [python3, -c, 'import sys; held = b"x" * (int(sys.argv[2]) << 20); print(sys.argv[1])']
  arguments: [$(runtime.ram), $(inputs.mib)]
"""
DOCUMENT = graph(
    """
    inputs: {mib: int}
    outputs: {said: {type: string, outputSource: eat/said}}
    steps: {eat: {run: '#hungry', in: {mib: mib}, out: [said]}}
    """,
    HUNGRY,
)


def prepare(directory: Path, **settings) -> Drive:
    run = drive(directory, DOCUMENT, tries=9, **settings)
    backend = DockerBackend(strict_limits=True)
    given = partial(Backends, processes=lambda: backend, containers=lambda: backend, available=answer(found=True))
    run.request = replace(run.request, backends=given(run.settings))
    return run


async def test_it_gets_more(tmp_path: Path) -> None:
    async with asyncio.timeout(60):
        first = prepare(tmp_path)
        assert (await first(mib=80))["said"] == "128\n"
        assert [event.kind.value for event in first.events if event.call] == [
            "started",
            "retrying",
            "retrying",
            "succeeded",
        ]


async def test_the_cap_holds(tmp_path: Path) -> None:
    async with asyncio.timeout(60):
        with pytest.raises(MemoryStepError, match="memory limit of 48 MiB"):
            await prepare(tmp_path, memory_most_mib=48)(mib=80)
