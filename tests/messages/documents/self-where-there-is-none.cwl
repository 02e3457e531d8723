cwlVersion: v1.2
class: CommandLineTool
baseCommand: echo
inputs:
  message: string
arguments: [$(self.message)]
outputs:
  said: stdout
