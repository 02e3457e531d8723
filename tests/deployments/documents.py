"""Workflows that several tests deploy."""

_COUNT = """\
  count:
    in: {text: SOURCE}
    out: [letters]
    run:
      class: CommandLineTool
      inputs: {text: File}
      stdin: $(inputs.text.path)
      baseCommand: [wc, -c]
      stdout: n
      outputs:
        letters:
          type: int
          outputBinding: {glob: n, loadContents: true, outputEval: "$(parseInt(self[0].contents))"}
"""
_UPPER_AND_COUNT = """\
cwlVersion: v1.2
class: Workflow
requirements: {InlineJavascriptRequirement: {}}
inputs: {text: File}
outputs:
  letters: {type: int, outputSource: count/letters}
  where: {type: string, outputSource: upper/where}
steps:
  upper:
    in: {text: text}
    out: [upper, where]
    run:
      class: CommandLineTool
      requirements: REQUIREMENTS
      inputs: {text: File}
      baseCommand: [sh, -c]
      arguments: ['tr a-z A-Z < "$0" > upper; hostname > where', $(inputs.text.path)]
      outputs:
        upper: {type: File, outputBinding: {glob: upper}}
        where:
          type: string
          outputBinding: {glob: where, loadContents: true, outputEval: "$(self[0].contents.trim())"}
"""


def count(source: str) -> str:
    """Write a step `count` whose output `letters` is the size of a file."""
    return _COUNT.replace("SOURCE", source)


def upper_and_count(requirements: str) -> str:
    """Write a workflow that counts the letters of a file after a step with these requirements; `where` is its host."""
    return _UPPER_AND_COUNT.replace("REQUIREMENTS", requirements) + count("upper/upper")
