cwlVersion: v1.2
class: CommandLineTool
baseCommand: echo
inputs:
  message: {type: string, inputBinding: {}}
  times: {type: {type: enum, symbols: [fast, careful]}}
outputs:
  said: stdout
