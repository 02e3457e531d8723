cwlVersion: v1.2
$namespaces:
  cwltool: http://commonwl.org/cwltool#
class: cwltool:ProcessGenerator
inputs:
  script: string
outputs: {}
run:
  class: CommandLineTool
  baseCommand: python3
  inputs:
    script: string
  outputs:
    runProcess: File
