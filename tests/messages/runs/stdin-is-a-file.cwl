cwlVersion: v1.2
class: CommandLineTool
baseCommand: cat
stdin: $(inputs.file)
inputs:
  file: File
outputs:
  copy: stdout
