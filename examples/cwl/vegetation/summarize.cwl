cwlVersion: v1.2
class: CommandLineTool
label: One line about one scene
requirements:
  InlineJavascriptRequirement: {}
baseCommand: [awk, -F, ","]
inputs:
  program:
    type: File
    default:
      class: File
      location: summarize.awk
    inputBinding:
      position: 1
      prefix: -f
  dense_from:
    type: float
    inputBinding:
      position: 3
      prefix: dense_from=
      separate: false
  index:
    type: File
    inputBinding:
      position: 4
arguments:
  - position: 2
    valueFrom: scene=$(inputs.index.nameroot.split("-").slice(1).join("-"))
outputs:
  summary:
    type: stdout
stdout: $(inputs.index.nameroot)-summary.csv
