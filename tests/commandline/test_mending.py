"""A run that goes on after its document was mended."""

import pytest

from tests.commandline.driving import CommandLine

pytestmark = pytest.mark.server

FLOW = """
    cwlVersion: v1.2
    class: Workflow
    inputs: {{word: string}}
    outputs: {{text: {{type: File, outputSource: last/text}}}}
    steps:
      first:
        run: {{class: CommandLineTool, baseCommand: [sh, -c, 'echo x >> {ran}; echo "$0"'], stdout: said,
          inputs: {{word: {{type: string, inputBinding: {{}}}}}}, outputs: {{text: stdout}}}}
        in: {{word: word}}
        out: [text]
      last:
        run: {{class: CommandLineTool, baseCommand: ['{command}'], stdout: read,
          inputs: {{file: {{type: File, inputBinding: {{}}}}}}, outputs: {{text: stdout}}}}
        in: {{file: first/text}}
        out: [text]
    """


def test_a_failed_run_goes_on_with_the_mended_document_or_the_same(command: CommandLine) -> None:
    ran = command.directory / "ran"
    command.write("flow.cwl", FLOW.format(ran=ran, command="false"))
    failed = command.run("--backend", "local", "--name", "mended", "flow.cwl", "--word", "mend")
    assert failed.code == 13

    command.write("flow.cwl", FLOW.format(ran=ran, command="cat"))
    same = command("runs", "resume", "--same", "mended")
    assert same.code == 13
    assert "has changed" not in same.stderr

    resumed = command("runs", "resume", "mended")
    assert "flow.cwl has changed since the run began" in resumed.stderr
    assert resumed.outputs
    assert (command.outdir / "read").read_text() == "mend\n"
    assert ran.read_text() == "x\n"
