cwlVersion: v1.2
class: CommandLineTool
baseCommand: [wc, -l]
inputs:
  file: File
arguments: [$(inputs.fil.path)]
outputs:
  count: stdout
