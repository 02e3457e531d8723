cwlVersion: v1.2
class: CommandLineTool
baseCommand: samtools sort
inputs:
  message: {type: string, inputBinding: {}}
  times: {type: int?, inputBinding: {prefix: -t}}
outputs:
  said: stdout
