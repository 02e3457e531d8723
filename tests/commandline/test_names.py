"""Names that trip up shells, URLs and YAML: they work everywhere a name may stand."""

import json
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.commandline.driving import CommandLine

pytestmark = [pytest.mark.server, pytest.mark.standby]

NAMES = [
    pytest.param("two words", id="space"),
    pytest.param('it\'s "so"', id="quotes"),
    pytest.param("a#b", id="hash"),
    pytest.param("50%25 off", id="percent"),
    pytest.param("first\nsecond", id="newline"),
    pytest.param("Käse 日本 🧀", id="non-ascii"),
    pytest.param("a:b", id="colon"),
    pytest.param("[1]*?{x}", id="glob"),
    pytest.param("$(inputs.x) `id` ;&|", id="shell"),
    pytest.param("back\\slash", id="backslash"),
    pytest.param("-dash", id="dash"),
    pytest.param("a+b=c&d?e", id="query"),
]

COPY = """
    cwlVersion: v1.2
    class: CommandLineTool
    requirements:
      InlineJavascriptRequirement: {}
      InitialWorkDirRequirement:
        listing:
          - {entryname: tool.sh, entry: 'cat "$1" > "./$2" && mkdir "./$3" && cat "$1" > "./$3/$2"'}
    HINTS
    baseCommand: [sh, tool.sh]
    inputs:
      data: {type: File, inputBinding: {position: 1}}
      name: {type: string, inputBinding: {position: 2}}
      folder: {type: string, inputBinding: {position: 3}}
    outputs:
      copied:
        type: File
        outputBinding: {glob: "*", outputEval: "$(self.filter(function(f) { return f.basename == inputs.name }))"}
      copies:
        type: Directory
        outputBinding: {glob: "*", outputEval: "$(self.filter(function(f) { return f.basename == inputs.folder }))"}
    """


def local_path(found: object) -> Path:
    assert isinstance(found, dict)
    return Path(unquote(urlsplit(str(found["location"])).path))


@pytest.mark.parametrize("name", NAMES)
def test_a_name_works_for_inputs_outputs_directories_and_documents(command: CommandLine, name: str) -> None:
    place = command.directory / name
    document = command.write(f"{name}/{name}.cwl", COPY.replace("HINTS", ""))
    command.write(f"{name}/in/{name}", "some data\n")
    order = {"data": {"class": "File", "path": f"in/{name}"}, "name": name, "folder": f"{name}.d"}
    job = command.write(f"{name}/{name}.json", json.dumps(order))
    outdir = place / "out"

    ended = command("run", "--outdir", outdir, "--workdir", place / "runs", document, job)

    copied, copies = local_path(ended.outputs["copied"]), local_path(ended.outputs["copies"])
    assert (copied, copies) == (outdir / name, outdir / f"{name}.d")
    assert copied.read_text() == (copies / name).read_text() == "some data\n"


SCATTERED = """
    cwlVersion: v1.2
    class: Workflow
    requirements: {ScatterFeatureRequirement: {}, StepInputExpressionRequirement: {}}
    inputs:
      data: File[]
    outputs:
      texts: {type: "File[]", outputSource: copy/text}
      writables: {type: "File[]", outputSource: copy/writable}
    steps:
      copy:
        scatter: data
        run:
          class: CommandLineTool
          requirements:
            InitialWorkDirRequirement:
              listing:
                - {entry: $(inputs.data), writable: true}
          HINTS
          baseCommand: [cat, --]
          inputs: {data: {type: File, inputBinding: {position: 1}}}
          outputs:
            text: stdout
            writable: {type: File, outputBinding: {glob: $(inputs.data.basename)}}
          stdout: w$(inputs.data.basename)
        in: {data: data}
        out: [text, writable]
    """
ALL_NAMES = [str(each.values[0]) for each in NAMES]


def contents(files: object) -> list[tuple[Path, str]]:
    """Read the files of an output, in its order."""
    assert isinstance(files, list)
    return [(path, path.read_text()) for path in map(local_path, files)]


def expected(outdir: Path, prefix: str = "") -> list[tuple[Path, str]]:
    return [(outdir / f"{prefix}{name}", "some data\n") for name in ALL_NAMES]


@pytest.mark.docker
def test_names_work_in_containers(command: CommandLine) -> None:
    command.write("copy.cwl", SCATTERED.replace("HINTS", "hints: {DockerRequirement: {dockerPull: busybox}}"))
    files = [command.write(f"in/{name}/{name}", "some data\n") for name in ALL_NAMES]
    order = {"data": [{"class": "File", "location": each.as_uri()} for each in files]}
    command.write("job.json", json.dumps(order))
    place = command.directory / "two words#100%"

    ended = command(
        "run", "--backend", "docker", "--outdir", place / "out", "--workdir", place / "runs", "copy.cwl", "job.json"
    )

    assert contents(ended.outputs["texts"]) == expected(place / "out", "w")
    assert contents(ended.outputs["writables"]) == expected(place / "out")


def test_names_work_as_flags(command: CommandLine) -> None:
    command.write("copy.cwl", SCATTERED.replace("HINTS", ""))
    for name in ALL_NAMES:
        command.write(f"in/{name}", "some data\n")

    ended = command.run("copy.cwl", *(f"--data=in/{name}" for name in ALL_NAMES))

    assert contents(ended.outputs["texts"]) == expected(command.outdir, "w")
    assert contents(ended.outputs["writables"]) == expected(command.outdir)
