cwlVersion: v1.2
class: Workflow
inputs:
  text: string
outputs:
  said: {type: File, outputSource: say/said}
steps:
  say:
    requirements:
      ResourceRequirement:
        coresMin: $(inputs.threads)
    run:
      class: CommandLineTool
      baseCommand: echo
      inputs:
        message: {type: string, inputBinding: {}}
        thread_count: {type: int, default: 2}
      outputs:
        said: stdout
    in:
      message: text
    out: [said]
