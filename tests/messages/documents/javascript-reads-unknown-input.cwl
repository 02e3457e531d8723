cwlVersion: v1.2
class: CommandLineTool
requirements:
  InlineJavascriptRequirement: {}
baseCommand: echo
inputs:
  first_name: string
  last_name: string
arguments:
  - ${ return inputs.first_name + " " + inputs.lastname; }
outputs:
  said: stdout
