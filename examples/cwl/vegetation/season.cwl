cwlVersion: v1.2
class: CommandLineTool
label: All scenes in one table
doc: Gather the lines of all scenes, in order of time.
baseCommand: [sort]
inputs:
  summaries:
    type: File[]
    inputBinding: {}
outputs:
  table:
    type: stdout
stdout: season.csv
