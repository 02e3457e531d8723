cwlVersion: v1.2
class: CommandLineTool
baseCommand: cat
inputs:
  reads: File
stdout: $(inputs.reads.namroot).txt
arguments: [$(inputs.reads.path)]
outputs:
  copy: stdout
