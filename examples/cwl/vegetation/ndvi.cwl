cwlVersion: v1.2
class: CommandLineTool
label: Normalized difference vegetation index
doc: (near infrared - red) / (near infrared + red), pixel by pixel.
requirements:
  InlineJavascriptRequirement: {}
baseCommand: [awk, -F, ","]
inputs:
  program:
    type: File
    default:
      class: File
      location: ndvi.awk
    inputBinding:
      position: 1
      prefix: -f
  red:
    type: File
    inputBinding:
      position: 2
  near_infrared:
    type: File
    inputBinding:
      position: 3
outputs:
  index:
    type: stdout
stdout: $(inputs.red.nameroot.replace(/^red-/, "ndvi-")).csv
