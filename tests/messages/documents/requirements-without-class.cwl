cwlVersion: v1.2
class: CommandLineTool
requirements:
  - InlineJavascriptRequirement: {}
baseCommand: echo
inputs: []
outputs: []
