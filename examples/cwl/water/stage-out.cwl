cwlVersion: v1.2
class: CommandLineTool
id: stage-out
label: Take a catalog away
doc: A stand-in for a tool that uploads; it copies to a directory of this machine, and gives its name.
requirements:
  InlineJavascriptRequirement: {}
baseCommand: [sh, -c, 'mkdir -p "$0" && cp -r "$1"/. "$0"']
inputs:
  wf_outputs:
    type: Directory
    inputBinding:
      position: 2
  ADES_STAGEOUT_OUTPUT:
    type: string
    doc: Where to; the variable of this name says so.
    inputBinding:
      position: 1
outputs:
  s3_catalog_output:
    type: string
    outputBinding:
      outputEval: $(inputs.ADES_STAGEOUT_OUTPUT + "/catalog.json")
