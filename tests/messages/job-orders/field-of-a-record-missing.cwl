cwlVersion: v1.2
class: CommandLineTool
baseCommand: echo
inputs:
  message: {type: string, inputBinding: {}}
  times: 
    type: {type: record, fields: {left: File, right: File}}
outputs:
  said: stdout
