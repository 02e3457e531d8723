cwlVersion: v1.2
class: CommandLineTool
hints:
  DockerRequirment:
    dockerPull: alpine:3.20
baseCommand: echo
inputs: []
outputs: []
