cwlVersion: v1.2
class: CommandLineTool
requirements:
  InlineJavaScriptRequirement: {}
baseCommand: echo
inputs:
  count: int
arguments: [$(inputs.count + 1)]
outputs: []
