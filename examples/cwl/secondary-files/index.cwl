cwlVersion: v1.2
class: CommandLineTool
label: Index a FASTA file
doc: Write the first and the last line of each sequence to a file next to it.
requirements:
  InitialWorkDirRequirement:
    listing: [$(inputs.sequences)]
baseCommand: awk
arguments:
  - '/^>/ { if (name) print name, first, NR - 1; name = substr($1, 2); first = NR + 1 } END { print name, first, NR }'
inputs:
  sequences:
    type: File
    inputBinding: {}
outputs:
  indexed:
    type: File
    secondaryFiles: .idx
    outputBinding:
      glob: $(inputs.sequences.basename)
stdout: $(inputs.sequences.basename).idx
