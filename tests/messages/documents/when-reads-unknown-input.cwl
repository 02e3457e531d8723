cwlVersion: v1.2
class: Workflow
inputs:
  text: string
  wanted: boolean
outputs: []
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
      message: text
    when: $(inputs.wanted)
    out: [said]
