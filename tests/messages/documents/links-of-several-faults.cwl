cwlVersion: v1.2
class: Workflow
requirements:
  MultipleInputFeatureRequirement: {}
inputs:
  number: int
  texts: string[]
outputs:
  counted:
    type: File[]
    outputSource: count/counted
steps:
  count:
    in:
      words:
        source: [texts, number]
        linkMerge: merge_flattened
    out: [counted]
    run:
      class: CommandLineTool
      baseCommand: echo
      inputs:
        words: string[]
      outputs:
        counted: stdout
  count_nothing:
    in:
      words: {}
    out: [counted]
    run:
      class: CommandLineTool
      baseCommand: echo
      inputs:
        words: string[]
      outputs:
        counted: stdout
