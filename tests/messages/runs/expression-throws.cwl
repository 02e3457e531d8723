cwlVersion: v1.2
class: CommandLineTool
requirements:
  InlineJavascriptRequirement: {}
baseCommand: echo
inputs:
  message: string
  words: string[]?
arguments:
  - $(inputs.message.toUpperCase())
  - $(inputs.message.length)
  - ${ return inputs.words.join(" "); }
  - $(inputs.message + "!")
outputs:
  said: stdout
