cwlVersion: v1.2
class: CommandLineTool
baseCommand: cat
inputs:
  file: 
    type: File
    format: http://edamontology.org/format_2572
    inputBinding: {}
outputs:
  copy: stdout
