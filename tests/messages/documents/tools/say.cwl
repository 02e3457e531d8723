cwlVersion: v1.2
class: CommandLineTool
baseComand: echo
inputs:
  message: {type: string, inputBinding: {}}
outputs:
  said: stdout
