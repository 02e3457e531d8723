cwlVersion: v1.2
class: Workflow
inputs:
  text: string
outputs: []
steps:
  say:
    run: tools/ehco.cwl
    in: {message: text}
    out: []
