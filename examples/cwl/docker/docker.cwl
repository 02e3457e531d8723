#!/usr/bin/env cwl-prefect-runner
cwlVersion: v1.2
class: Workflow
label: Checksums in containers
doc: Each file is read in a container of its own, which sees that file and nothing else of this machine.
requirements:
  ScatterFeatureRequirement: {}
inputs:
  files: File[]
steps:
  checksum:
    scatter: file
    run:
      class: CommandLineTool
      requirements:
        DockerRequirement:
          dockerPull: busybox
        ResourceRequirement:
          coresMin: 1
          ramMin: 64
      baseCommand: sha256sum
      inputs:
        file: File
      stdin: $(inputs.file.path)
      stdout: $(inputs.file.nameroot).sha256
      outputs:
        checksum: stdout
    in: {file: files}
    out: [checksum]
outputs:
  checksums:
    type: File[]
    outputSource: checksum/checksum
