cwlVersion: v1.2
class: CommandLineTool
requirements:
  InlineJavascriptRequirement: {}
baseCommand: echo
inputs:
  count: int
  mode: string
outputs:
  said:
    type: stdout
arguments:
  - $(inputs.mode)
  - $(inputs.count == 1 ? "one" "many")
