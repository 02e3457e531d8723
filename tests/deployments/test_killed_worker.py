"""A worker is killed, alone or with the flow run that it started."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.deployments.site import ENDED, Site

pytestmark = pytest.mark.server

WORKFLOW = """\
cwlVersion: v1.2
class: Workflow
requirements: {InlineJavascriptRequirement: {}}
inputs: {log: string, number: int}
outputs: {text: {type: File, outputSource: second/o}}
steps:
  first: {run: STEP, in: {log: log, number: number}, out: [o]}
  second: {run: STEP, in: {log: log, number: number, before: first/o}, out: [o]}
"""
STEP = """{class: CommandLineTool, inputs: {log: string, number: int, before: File?}, outputs: {o: stdout}, stdout: o,
    baseCommand: [sh, -c],
    arguments: ['echo "$1" >> "$0"; test "$1" != 2 || while test ! -e "$0.go"; do sleep 0.1; done; echo "$2 $1"',
      $(inputs.log), "$(inputs.before === null ? 1 : 2)", $(inputs.number)]}"""


@pytest.fixture(scope="module")
def deployment(site: Site) -> str:
    """A workflow on a pool of its own; its second step goes on when the file `go` is there."""
    site.run("cwl-prefect", "pool", "create", "mortal", "--type", "process")
    return site.deploy(WORKFLOW.replace("STEP", STEP), pool="mortal")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    """Where each execution of a step leaves its number."""
    yield tmp_path / "log"
    (tmp_path / "log.go").touch()


def executions(log: Path) -> list[str]:
    return log.read_text().split() if log.exists() else []


def test_a_run_whose_worker_was_killed_goes_on(site: Site, deployment: str, log: Path) -> None:
    with site.worker("mortal") as worker:
        run = site.start(deployment, log=str(log), number=1).json()["id"]
        site.wait_for(lambda: executions(log) == ["1", "2"])
        worker.kill()
        worker.wait(10)
    log.with_name("log.go").touch()
    assert site.until(run, *ENDED) == "COMPLETED", site.log_of(run)
    assert executions(log) == ["1", "2"]


def test_a_run_that_was_killed_with_its_worker_is_resumed(site: Site, deployment: str, log: Path) -> None:
    with site.worker("mortal") as worker:
        run = site.start(deployment, log=str(log), number=2).json()["id"]
        site.wait_for(lambda: executions(log) == ["1", "2"])
        family = [psutil.Process(worker.pid), *psutil.Process(worker.pid).children(recursive=True)]
        for process in family:
            with suppress(psutil.NoSuchProcess):  # which ends with the one before
                process.kill()
        psutil.wait_procs(family, timeout=10)
    assert "Killed" in site.run("cwl-prefect", "runs", "ls")
    log.with_name("log.go").touch()
    site.run("cwl-prefect", "runs", "resume", run)
    assert site.until(run, *ENDED) == "COMPLETED", site.log_of(run)
    assert executions(log) == ["1", "2", "2"]
    assert Path(site.outputs(run)["text"]["path"]).read_text() == "2 2\n"
