cwlVersion: v1.2
class: CommandLineTool
baseCommand: head
inputs:
  lines: int
  file: File
arguments: [-n, $(inputs.lines + 1), $(inputs.file)]
outputs:
  top: stdout
