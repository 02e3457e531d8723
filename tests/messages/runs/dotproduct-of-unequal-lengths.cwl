cwlVersion: v1.2
class: Workflow
requirements:
  ScatterFeatureRequirement: {}
inputs:
  names: string[]
  sizes: int[]
outputs: []
steps:
  say:
    run:
      class: CommandLineTool
      baseCommand: echo
      inputs:
        name: {type: string, inputBinding: {}}
        size: {type: int, inputBinding: {}}
      outputs: []
    in:
      name: names
      size: sizes
    scatter: [name, size]
    scatterMethod: dotproduct
    out: []
