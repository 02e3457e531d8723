cwlVersion: v1.2
class: CommandLineTool
baseCommand: head
inputs:
  lines:
    type: int
    default: "10"
    inputBinding: {prefix: -n}
outputs: []
