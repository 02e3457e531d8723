#!/usr/bin/env cwl-prefect-runner
cwlVersion: v1.2
class: CommandLineTool
label: A script, its settings and a file to change
doc: |
  Three ways to put files where the tool runs: a literal (the script), text made from the inputs (the settings), and an input that the tool may
  change (a copy; the original stays as it is).
requirements:
  InitialWorkDirRequirement:
    listing:
      - entryname: sign.sh
        entry: |
          . ./settings
          printf '%s\n' "\${closing}," "\${name}" >> "$1"
      - entryname: settings
        entry: |
          name='$(inputs.name)'
          closing='$(inputs.closing)'
      - entry: $(inputs.letter)
        writable: true
baseCommand: [sh, sign.sh]
inputs:
  letter:
    type: File
    inputBinding:
      valueFrom: $(self.basename)
  name: string
  closing:
    type: string
    default: Yours
outputs:
  signed:
    type: File
    outputBinding:
      glob: $(inputs.letter.basename)
