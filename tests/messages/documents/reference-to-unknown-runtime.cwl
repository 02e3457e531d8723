cwlVersion: v1.2
class: CommandLineTool
baseCommand: [sort, --parallel]
inputs:
  file:
    type: File
    inputBinding: {position: 2}
arguments: [$(runtime.core)]
outputs:
  sorted: stdout
