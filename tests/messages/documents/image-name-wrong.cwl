cwlVersion: v1.2
class: CommandLineTool
baseCommand: [echo, hello]
requirements:
  DockerRequirement:
    dockerPull: Biocontainers/Samtools 1.9
inputs: []
outputs: []
