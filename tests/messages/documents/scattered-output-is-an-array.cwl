cwlVersion: v1.2
class: Workflow
requirements:
  ScatterFeatureRequirement: {}
inputs:
  texts: string[]
outputs:
  said: {type: File, outputSource: say/said}
steps:
  say:
    run:
      class: CommandLineTool
      baseCommand: echo
      inputs:
        message: {type: string, inputBinding: {}}
        loud: {type: boolean?, inputBinding: {prefix: --loud}}
      outputs:
        said: stdout
    in:
      message: texts
    scatter: message
    out: [said]
