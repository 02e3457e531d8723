cwlVersion: v1.2
class: CommandLineTool
baseCommand: [echo, hello]
requirements:
  DockerRequirement:
    dockerPull: ""
inputs: []
outputs: []
