"""A run whose plan is cached needs nothing that only loading needs."""

import json
import subprocess
import sys

import pytest

from tests.commandline.driving import CommandLine

pytestmark = pytest.mark.server

WORKFLOW = """
    cwlVersion: v1.2
    class: Workflow
    requirements: {ScatterFeatureRequirement: {}, InlineJavascriptRequirement: {}, StepInputExpressionRequirement: {}}
    inputs: {words: {type: "string[]", default: [a, b]}}
    steps:
      say:
        scatter: word
        in: {word: words, twice: {valueFrom: "${return inputs.word + inputs.word;}"}}
        out: [said]
        run:
          class: CommandLineTool
          baseCommand: echo
          inputs: {word: {type: string, inputBinding: {}}, twice: {type: string, inputBinding: {}}}
          stdout: said.txt
          outputs: {said: stdout}
      count:
        in: {files: say/said}
        out: [number]
        run:
          class: ExpressionTool
          inputs: {files: "File[]"}
          outputs: {number: int}
          expression: "${return {number: inputs.files.length};}"
    outputs:
      number: {type: int, outputSource: count/number}
    """
LOADING = ("cwltool", "cwl_utils", "schema_salad", "rdflib")
RUN = f"""
import atexit, os, sys

def tell() -> None:
    found = sorted(name for name in sys.modules if name.partition(".")[0] in {LOADING!r})
    with open("modules.txt", "w") as stream:
        stream.write(" ".join(found) + " end")

leave = os._exit
os._exit = lambda status: (tell(), leave(status))
atexit.register(tell)
from cwl_prefect.__main__ import main
main()
"""


def test_a_run_whose_plan_is_cached_imports_nothing_of_cwltool(command: CommandLine) -> None:
    document = command.write("flow.cwl", WORKFLOW)
    arguments = ("run", "--no-cache", "--outdir", "results", str(document))
    found = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", RUN, *arguments],
            cwd=command.directory,
            env=dict(command.environment),
            capture_output=True,
            text=True,
            check=True,
        )
        assert json.loads(done.stdout)["number"] == 2
        found.append((command.directory / "modules.txt").read_text().split())
    assert "cwltool" in found[0], "the first run compiles the document"
    assert found[1] == ["end"]
