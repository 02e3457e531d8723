cwlVersion: v1.2
class: CommandLineTool
requirements:
  ResourceRequirement:
    coresMin: 8
    coresMax: 4
    ramMin: -1
baseCommand: echo
inputs: []
outputs: []
