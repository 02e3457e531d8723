cwlVersion: v1.2
class: CommandLineTool
hints:
  Priority:
    level: 3
baseCommand: echo
inputs:
  message: {type: string, inputBinding: {}}
outputs:
  said: stdout
