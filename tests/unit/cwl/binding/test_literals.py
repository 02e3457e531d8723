"""The text of a literal is never taken for a path, wherever the literal goes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cwl_prefect.cwl.binding.bind import Place
from cwl_prefect.cwl.javascript import engine as javascript
from cwl_prefect.engine.outputs.publish import publish
from cwl_prefect.engine.outputs.validate import validate
from cwl_prefect.engine.staging.relink import relink
from cwl_prefect.engine.staging.stage import stage
from cwl_prefect.engine.staging.workspace import Workspace
from cwl_prefect.model.values import file_objects

Run = Callable[..., dict[str, Any]]

STAGED = """
requirements: {InitialWorkDirRequirement: {listing: %s}, InlineJavascriptRequirement: {},
  DockerRequirement: {dockerPull: busybox}}
inputs: {f: Any}
baseCommand: tool
outputs: {o: {type: Any, outputBinding: {glob: list.txt}}}
"""


@pytest.fixture(autouse=True)
def _engine() -> None:
    javascript.install(timeout_s=5, memory_mib=64)


@pytest.fixture(params=[False, True], ids=["process", "container"])
def run(request: pytest.FixtureRequest, bind: Callable[..., Any], place: Place, tmp_path: Path) -> Run:
    """Bind, stage, collect and publish one call whose tool does nothing, on this machine or in a container."""

    def run(text: str, given: dict[str, Any], **about: Any) -> dict[str, Any]:
        bound = bind(text, given, where=replace(place, containers=request.param), **about)
        for directory in (place.outdir, place.tmpdir):
            directory.rmdir()
        space = Workspace(root=tmp_path)
        for directory in (space.out, space.tmp, space.stage, space.logs):
            directory.mkdir()
        stage(bound.call, space, job_id="id", name="align", mounts=request.param, labels={})
        if request.param:
            relink(bound.call, space)
        outputs = bound.collect(space.out, 0)
        validate(outputs, bound.call, space.out, name="align")
        return publish(outputs, tmp_path / "published", move_from=())

    return run


def texts(value: Any) -> list[str]:
    return [Path(found["location"].removeprefix("file://")).read_text() for found in file_objects(value)]


@pytest.fixture
def secret(tmp_path: Path) -> str:
    (tmp_path / "secret").write_text("what only the host may read")
    return str(tmp_path / "secret")


def literal(text: str, **more: Any) -> dict[str, Any]:
    return {"class": "File", "basename": "list.txt", "contents": text, **more}


@pytest.mark.parametrize(
    "listing",
    [
        "[$(inputs.f)]",
        "[{entry: $(inputs.f)}]",
        "[{entry: $(inputs.f), writable: true}]",
        "[{entry: $(inputs.f), entryname: list.txt}]",
        "'$([inputs.f])'",
        "[{entry: $(inputs.f.contents), entryname: list.txt}]",
    ],
)
def test_a_literal_staged_in_the_working_directory_holds_its_text(run: Run, secret: str, listing: str) -> None:
    found = run(STAGED % listing, {"f": literal(secret)})
    assert texts(found["o"]) == [secret]


@pytest.mark.parametrize("text", ["data.txt", "/etc/hostname", "file:///etc/hostname", "../secret", "line\nline\n"])
def test_any_text_is_delivered_as_it_stands(run: Run, text: str) -> None:
    assert texts(run(STAGED % "[$(inputs.f)]", {"f": literal(text)})["o"]) == [text]


def test_a_literal_of_an_earlier_step_is_one_too(run: Run, secret: str) -> None:
    given = literal(secret, location="_:1d4c", nameroot="list", nameext=".txt")
    assert texts(run(STAGED % "[$(inputs.f)]", {"f": given})["o"]) == [secret]
