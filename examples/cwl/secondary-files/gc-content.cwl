cwlVersion: v1.2
class: CommandLineTool
label: Share of G and C
requirements:
  InlineJavascriptRequirement: {}
baseCommand: awk
arguments:
  - position: 1
    valueFrom: >-
      FNR == NR { if ($1 == wanted) { first = $2; last = $3 } next }
      FNR >= first && FNR <= last { all += length($0); both += gsub(/[GCgc]/, "") }
      END { printf "%.4f", both / all }
  - position: 3
    valueFrom: $(inputs.sequences.secondaryFiles[0].path)
  - position: 4
    valueFrom: $(inputs.sequences.path)
inputs:
  sequences:
    type: File
    secondaryFiles: .idx
  name:
    type: string
    inputBinding:
      position: 2
      prefix: wanted=
      separate: false
stdout: share.txt
outputs:
  share:
    type: float
    outputBinding:
      glob: share.txt
      loadContents: true
      outputEval: $(parseFloat(self[0].contents))
