cwlVersion: v1.2
class: CommandLineTool
baseCommand: cat
inputs:
  year:
    type: File
    default: {class: File, path: 2024}
    inputBinding: {}
outputs: []
