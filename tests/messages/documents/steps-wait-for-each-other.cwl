cwlVersion: v1.2
class: Workflow
inputs: []
outputs: []
steps:
  first:
    run: &tool
      class: CommandLineTool
      baseCommand: cat
      inputs:
        file: {type: File, inputBinding: {}}
      outputs:
        copy: stdout
    in: {file: second/copy}
    out: [copy]
  second:
    run: *tool
    in: {file: first/copy}
    out: [copy]
