cwlVersion: v1.2
class: CommandLineTool
baseCommand: cat
inputs:
  file: 
    type: File
    secondaryFiles: .bai
    inputBinding: {}
outputs:
  copy: stdout
