cwlVersion: v1.2
class: CommandLineTool
requirements:
  InlineJavascriptRequirement: {}
baseCommand: echo
inputs:
  words: string[]
arguments:
  - valueFrom: ${ return inputs.words.map(function (word) { return word.length; }).join(",");
outputs:
  lengths: stdout
