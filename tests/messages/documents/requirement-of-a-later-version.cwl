cwlVersion: v1.0
class: CommandLineTool
requirements:
  WorkReuse: {enableReuse: false}
baseCommand: date
inputs: []
outputs: []
