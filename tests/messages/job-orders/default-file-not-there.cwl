cwlVersion: v1.2
class: CommandLineTool
baseCommand: cat
inputs:
  file: 
    type: File
    default: {class: File, location: reference.fa}
    inputBinding: {}
outputs:
  copy: stdout
