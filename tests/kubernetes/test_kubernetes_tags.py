"""Images that are named by tags: pods run what the registry says that they stand for, and calls are cached by that."""

import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

import pytest

from cwl_prefect.cwl.javascript import engine
from cwl_prefect.cwl.loading.compile import compile_process
from cwl_prefect.cwl.loading.load import load_process
from cwl_prefect.engine.records.journal import read_journal
from cwl_prefect.flows.build import prepared
from cwl_prefect.flows.execution.driver import Driver, Scope
from cwl_prefect.flows.execution.run import RunRequest
from cwl_prefect.flows.lifecycle.opening import open_run
from cwl_prefect.model.events import StepEvent, StepEventKind
from cwl_prefect.settings import Settings
from tests.conftest import missing_engine
from tests.kubernetes.cluster import cluster_settings
from tests.kubernetes.registry import PROGRAM, LocalRegistry, serve
from tests.unit.flows.driving import PlainTasks

pytestmark = [pytest.mark.kubernetes, pytest.mark.docker]

WORKFLOW = """
    cwlVersion: v1.2
    class: Workflow
    requirements: {SubworkflowFeatureRequirement: {}}
    inputs: {word: string}
    outputs: {said: {type: string, outputSource: pair/said}}
    steps:
      pair:
        in: {word: word}
        out: [said]
        run:
          class: Workflow
          inputs: {word: string}
          outputs: {said: {type: string, outputSource: second/said}}
          steps:
            first: {run: tool.cwl, in: {word: word}, out: [said]}
            second: {run: tool.cwl, in: {word: first/said}, out: [said]}
    """
TOOL = """
    cwlVersion: v1.2
    class: CommandLineTool
    requirements:
      DockerRequirement: {{dockerPull: "{image}"}}
      ResourceRequirement: {{coresMin: 0.01, ramMin: 16, tmpdirMin: 1}}
    inputs: {{word: {{type: string, inputBinding: {{}}}}}}
    baseCommand: [sh, -c, 'printf "%s-%s" "$1" "$VERSION"', sh]
    stdout: said
    outputs:
      said: {{type: string, outputBinding: {{glob: said, loadContents: true, outputEval: "$(self[0].contents)"}}}}
    """
ALL_CACHED = ["pair.first", "pair.second"]
ALL_RAN = ["pair.first", "pair.second"]


@pytest.fixture(scope="module")
def registry(cluster_problem: str | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRegistry]:
    if cluster_problem is not None:
        missing_engine(cluster_problem)
    if shutil.which(PROGRAM) is None:
        missing_engine(f"there is no {PROGRAM} (Debian's package of that name)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    yield from serve(tmp_path_factory.mktemp("registry"), port)


@dataclass
class Lab:
    """Runs the workflow again and again, on images that a test names.

    Attributes:
        said: What the last run gave.
        events: What it told.
    """

    directory: Path
    settings: Settings
    runs: int = 0
    said: object = None
    events: list[StepEvent] = field(default_factory=list)

    async def run(self, image: str, **changed: object) -> None:
        for name, text in (("flow.cwl", WORKFLOW), ("tool.cwl", TOOL.format(image=image))):
            (self.directory / name).write_text(dedent(text))
        path = str(self.directory / "flow.cwl")
        plan = compile_process(load_process(path), origin=path)
        settings = self.settings.model_copy(update=changed)
        self.runs += 1
        self.events.clear()
        async with open_run(
            plan, RunRequest(job_order={}, settings=settings, observers=(self._see,)), f"run-{self.runs}"
        ) as run:
            values = prepared(plan, {"word": "word"}, settings)
            outputs, _ = await Driver(run, PlainTasks()).workflow(plan, values, Scope())
            self.said = outputs["said"]

    def _see(self, event: object) -> None:
        if isinstance(event, StepEvent):
            self.events.append(event)

    def steps(self, kind: StepEventKind) -> list[str]:
        """Name the steps of which the last run told this."""
        return [event.step for event in self.events if event.kind is kind and event.call is not None]

    @property
    def cached(self) -> list[str]:
        return self.steps(StepEventKind.CACHED)

    @property
    def ran(self) -> list[str]:
        return [step for step in self.steps(StepEventKind.STARTED) if step != "pair"]

    @property
    def reasons(self) -> set[str | None]:
        """Why calls of the last run could not be cached."""
        return {call.reason for call in read_journal(self.settings.reports / f"run-{self.runs}")} - {None}


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    engine.install(timeout_s=20, memory_mib=64)
    return Lab(directory=tmp_path, settings=cluster_settings(tmp_path, backend="kubernetes"))


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [text for text in caplog.messages if "not cached" in text]


async def test_calls_are_found_until_the_tag_moves(
    registry: LocalRegistry, lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    name = registry.name("team/moving:1")
    first = registry.make(name, "ENV VERSION=one")
    registry.push(first, name)
    await lab.run(name)
    assert (lab.ran, lab.cached) == (ALL_RAN, [])
    assert lab.said == "word-one-one"

    await lab.run(name)
    assert (lab.ran, lab.cached) == ([], ALL_CACHED)
    assert lab.said == "word-one-one"

    second = registry.make(registry.name("team/other:1"), "ENV VERSION=two")
    registry.push(second, name)
    await lab.run(name)
    assert (lab.ran, lab.said) == (ALL_RAN, "word-two-two")
    assert warnings(caplog) == []

    # A node may keep an older image under the tag: pods run what the tag stands for.
    assert first.tag(name)
    await lab.run(name, refresh=("*",))
    assert (lab.ran, lab.said) == (ALL_RAN, "word-two-two")
    assert (warnings(caplog), lab.reasons) == ([], set())

    # Told to run it by its tag, they run what the node has, and nothing of that is kept.
    await lab.run(name, refresh=("*",), kubernetes_images_by_digest=False)
    assert (lab.ran, lab.said) == (ALL_RAN, "word-one-one")
    (told,) = warnings(caplog)
    assert told.startswith(f"calls in the image {name} are not cached: pods run it by its tag")
    await lab.run(name)
    assert (lab.cached, lab.said) == (ALL_CACHED, "word-two-two")


async def test_what_a_node_pulls_is_found_in_a_remote_cache(registry: LocalRegistry, lab: Lab) -> None:
    name = registry.name("team/pulled:1")
    image = registry.make(name, 'ENTRYPOINT ["env", "VERSION=three"]')
    digest = registry.push(image, name)
    registry.client.images.remove(name)
    cache = f"memory://{lab.directory.name}"

    await lab.run(name, cache_url=cache)
    assert (lab.ran, lab.said) == (ALL_RAN, "word-three-three")
    assert lab.reasons == set()

    # The same image is found by its digest, and from a home that never saw it.
    lab.settings = lab.settings.model_copy(update={"home": lab.directory / "other-home"})
    pinned = f"{name.rpartition(':')[0]}@{digest}"
    await lab.run(pinned, cache_url=cache)
    assert (lab.ran, lab.cached, lab.said) == ([], ALL_CACHED, "word-three-three")


async def test_an_image_that_only_nodes_have_is_not_cached_and_why_is_told_once(
    registry: LocalRegistry, lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    name = registry.name("team/local:1")
    registry.make(name, "ENV VERSION=local")
    await lab.run(name)
    assert (lab.ran, lab.said) == (ALL_RAN, "word-local-local")
    (told,) = warnings(caplog)
    assert told.startswith(f"calls in the image {name} are not cached: its registry localhost:{registry.port} has no")
    assert "has no such image" in str(lab.reasons)
