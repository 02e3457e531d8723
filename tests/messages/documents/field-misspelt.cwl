cwlVersion: v1.2
class: CommandLineTool
basecommand: echo
inputs:
  message:
    type: string
    inputBindings: {position: 1}
outputs: []
