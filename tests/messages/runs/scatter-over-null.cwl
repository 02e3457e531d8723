cwlVersion: v1.2
class: Workflow
requirements:
  ScatterFeatureRequirement: {}
inputs:
  names: string[]?
  wanted: boolean
outputs: []
steps:
  say:
    run:
      class: CommandLineTool
      baseCommand: echo
      inputs:
        name: {type: string, inputBinding: {}}
      outputs: []
    in:
      name: names
      wanted: wanted
    when: $(inputs.wanted)
    scatter: name
    out: []
