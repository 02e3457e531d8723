cwlVersion: v1.2
class: Workflow
inputs:
  text: string
outputs:
  said: {type: File, outputSource: say/said}
steps:
  say:
    run:
      class: CommandLineTool
      baseCommand: echo
      inputs:
        message: {type: string, inputBinding: {}}
      outputs:
        said: stdout
    in:
      message: text
    out: [said]
  shout:
    run:
      class: CommandLineTool
      baseCommand: [echo, -n]
      inputs:
        message: {type: string, inputBinding: {}}
      outputs:
        said: stdout
    in:
      message: text
    out: [said]
