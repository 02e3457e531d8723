cwlVersion: v1.2
class: Workflow
inputs:
  text: string
outputs:
  said: {type: File, outputSource: say/said}
steps:
  say:
    run: tools/say.cwl
    in:
      message: text
    out: [said]
