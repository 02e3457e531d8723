cwlVersion: v1.2
class: CommandLineTool
label: Pixels by class
doc: Write one file for each class that occurs, with row, column and index of its pixels.
baseCommand: [awk, -F, ","]
inputs:
  program:
    type: File
    default:
      class: File
      location: classify.awk
    inputBinding:
      position: 1
      prefix: -f
  dense_from:
    type: float
    inputBinding:
      position: 2
      prefix: dense_from=
      separate: false
  index:
    type: File
    inputBinding:
      position: 3
outputs:
  classes:
    type: File[]
    doc: As many as there are classes in this scene.
    outputBinding:
      glob: class-*.csv
