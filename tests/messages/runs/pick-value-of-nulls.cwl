cwlVersion: v1.2
class: Workflow
requirements:
  InlineJavascriptRequirement: {}
  MultipleInputFeatureRequirement: {}
inputs:
  wanted: boolean
steps:
  one:
    run: &say
      class: CommandLineTool
      baseCommand: echo
      inputs:
        wanted: boolean
      outputs:
        said: stdout
    in: {wanted: wanted}
    when: $(inputs.wanted)
    out: [said]
  other:
    run: *say
    in: {wanted: wanted}
    when: $(inputs.wanted)
    out: [said]
  copy:
    run:
      class: CommandLineTool
      baseCommand: cat
      inputs:
        file: {type: File, inputBinding: {}}
      outputs:
        copied: stdout
    in:
      file:
        source: [one/said, other/said]
        pickValue: first_non_null
    out: [copied]
outputs:
  copied: {type: File, outputSource: copy/copied}
