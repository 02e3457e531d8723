cwlVersion: v1.2
class: CommandLineTool
requirements:
  InitialWorkDirRequirement:
    listing:
      - $(inputs.file)
      - entryname: data.txt
        entry: something else
baseCommand: cat
inputs:
  file: {type: File, inputBinding: {}}
outputs:
  copy: stdout
