cwlVersion: v1.2
class: CommandLineTool
baseCommand: cat
inputs:
  files: {type: "File[]", inputBinding: {}}
  texts: {type: "string[]", inputBinding: {prefix: -t}}
  times: {type: int?, inputBinding: {prefix: -n}}
outputs:
  said: stdout
