cwlVersion: v1.2
class: CommandLineTool
baseCommand: echo
inputs:
  message: str
  file: file
outputs: []
