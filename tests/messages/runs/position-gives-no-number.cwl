cwlVersion: v1.2
class: CommandLineTool
requirements:
  InlineJavascriptRequirement: {}
baseCommand: echo
inputs:
  names:
    type: string[]
    inputBinding:
      position: $(self)
outputs:
  said: stdout
