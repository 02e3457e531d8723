cwlVersion: v1.2
class: CommandLineTool
baseCommand: [touch, /tmp/out.txt]
inputs: []
outputs:
  out:
    type: File
    outputBinding: {glob: /tmp/out.txt}
