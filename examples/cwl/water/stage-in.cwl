cwlVersion: v1.2
class: CommandLineTool
id: stage-in
label: Bring a scene
doc: A stand-in for a tool that downloads; it copies a directory of this machine.
baseCommand: [cp, -r]
inputs:
  input:
    type: string
    inputBinding:
      position: 1
arguments:
  - position: 2
    valueFrom: scene
outputs:
  staged:
    type: Directory
    outputBinding:
      glob: scene
