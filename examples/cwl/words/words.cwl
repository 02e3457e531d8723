#!/usr/bin/env cwl-prefect-runner
cwlVersion: v1.2
class: Workflow
label: Word count
doc: Count the words of each text by itself, then add the counts up. The classic of scatter and gather.
requirements:
  ScatterFeatureRequirement: {}
inputs:
  texts:
    type: File[]
    doc: Plain text files.
  most:
    type: int
    default: 5
    doc: How many of the most frequent words to keep.
steps:
  count:
    scatter: text
    run:
      class: CommandLineTool
      doc: One line per word, with its count in this text.
      requirements:
        ShellCommandRequirement: {}
      inputs:
        text: File
      arguments:
        - shellQuote: false
          valueFrom: tr -cs '[:alpha:]' '\n' | tr '[:upper:]' '[:lower:]' | grep . | sort | uniq -c
      stdin: $(inputs.text.path)
      stdout: $(inputs.text.nameroot).counts
      outputs:
        counts: stdout
    in:
      text: texts
    out: [counts]
  total:
    run:
      class: CommandLineTool
      doc: The most frequent words of all texts; words that are equally frequent stand in alphabetical order.
      requirements:
        ShellCommandRequirement: {}
      inputs:
        counts:
          type: File[]
          inputBinding:
            position: 2
        most:
          type: int
          inputBinding:
            position: 4
            prefix: -n
      arguments:
        - position: 1
          valueFrom: awk
        - position: 1
          valueFrom: '{ total[$2] += $1 } END { for (word in total) print total[word], word }'
        - position: 3
          shellQuote: false
          valueFrom: '| LC_ALL=C sort -k1,1nr -k2 | head'
      stdout: frequent-words.txt
      outputs:
        frequent: stdout
    in:
      counts: count/counts
      most: most
    out: [frequent]
outputs:
  frequent:
    type: File
    outputSource: total/frequent
