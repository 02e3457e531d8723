"""A part of a workflow, run by the command line."""

import pytest

from tests.commandline.driving import CommandLine, assert_refused

pytestmark = pytest.mark.server

FLOW = """
    cwlVersion: v1.2
    class: Workflow
    requirements: {ScatterFeatureRequirement: {}, StepInputExpressionRequirement: {}, InlineJavascriptRequirement: {}}
    inputs: {words: "string[]", unused: File}
    outputs: {texts: {type: "File[]", outputSource: say/text}}
    steps:
      say: {run: say.cwl, scatter: word, in: {word: {source: words, valueFrom: "$(self + '!')"}}, out: [text]}
      broken: {run: broken.cwl, in: {file: unused}, out: []}
    """
SAY = """
    {cwlVersion: v1.2, class: CommandLineTool, baseCommand: echo, stdout: said, outputs: {text: stdout},
     inputs: {word: {type: string, inputBinding: {}}}}
    """
BROKEN = "{cwlVersion: v1.2, class: CommandLineTool, baseCommand: 'false', inputs: {file: File}, outputs: []}"


def test_only_a_part_is_run_and_takes_only_its_own_inputs(command: CommandLine) -> None:
    for name, text in (("flow.cwl", FLOW), ("say.cwl", SAY), ("broken.cwl", BROKEN)):
        command.write(name, text)
    local = ("--backend", "local", "flow.cwl")

    target = command.run("--target", "texts", *local, "--words", "a", "--words", "b").outputs
    assert sorted(target) == ["texts"]
    command.write("job.yml", "word: [c]\n")
    step = command.run("--single-step", "say", *local, "job.yml")
    assert "Warning" not in step.stderr
    (text,) = step.outputs["text"]  # type: ignore[misc]  # an array of files
    assert (command.outdir / text["basename"]).read_text() == "c!\n"

    assert_refused(command.run("--target", "text", *local), 2, "did you mean 'texts'?")
    assert_refused(command.run("--target", "texts", "--single-step", "say", *local), 2, "exclude each other")
