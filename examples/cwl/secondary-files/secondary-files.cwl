#!/usr/bin/env cwl-prefect-runner
cwlVersion: v1.2
class: Workflow
label: GC content of some sequences
doc: |
  Index a FASTA file, then look sequences up through the index, which stays next to its file as a secondary file, and compute the share of G
  and C of each.
requirements:
  ScatterFeatureRequirement: {}
inputs:
  sequences:
    type: File
    doc: Nucleotide sequences in FASTA format.
  names:
    type: string[]
    doc: Sequences to look up.
steps:
  index:
    run: index.cwl
    in: {sequences: sequences}
    out: [indexed]
  content:
    run: gc-content.cwl
    scatter: name
    in: {sequences: index/indexed, name: names}
    out: [share]
outputs:
  shares:
    type: float[]
    outputSource: content/share
  indexed:
    type: File
    secondaryFiles: .idx
    outputSource: index/indexed
