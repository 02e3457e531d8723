"""What a run would do, told by the command line."""

import pytest

from tests.commandline.driving import CommandLine, assert_refused

pytestmark = pytest.mark.server

FLOW = """
    cwlVersion: v1.2
    class: Workflow
    inputs: {word: string}
    outputs: {text: {type: File, outputSource: again/text}}
    steps:
      say: {run: say.cwl, in: {word: word}, out: [text]}
      again: {run: cat.cwl, in: {file: say/text}, out: [text]}
    """
SAY = """
    {cwlVersion: v1.2, class: CommandLineTool, baseCommand: echo, stdout: said, outputs: {text: stdout},
     inputs: {word: {type: string, inputBinding: {}}}}
    """
CAT = """
    {cwlVersion: v1.2, class: CommandLineTool, baseCommand: cat, stdout: read, outputs: {text: stdout},
     inputs: {file: {type: File, inputBinding: {}}}}
    """


def test_a_dry_run_tells_what_is_cached_and_runs_nothing(command: CommandLine) -> None:
    for name, text in (("flow.cwl", FLOW), ("say.cwl", SAY), ("cat.cwl", CAT)):
        command.write(name, text)
    given = ("--backend", "local", "flow.cwl", "--word", "dry")
    before = command("run", "--dry-run", *given)
    assert before.code == 0, before.stderr
    assert "again: file is not known: File, an output of say: text" in before.stdout
    assert before.stdout.endswith("Nothing was run. Calls: 1 to run, 1 not known before the run.\n")
    assert not command.outdir.exists()

    assert command.run(*given).code == 0
    assert command("run", "--dry-run", *given).stdout.endswith("Nothing was run. Calls: 2 cached.\n")

    assert_refused(command("run", "--dry-run", "--batch", "a.yml", "flow.cwl"), 2, "--dry-run looks at one run")
    assert_refused(command("run", "--dry-run", "flow.cwl"), 11, "required input word")
