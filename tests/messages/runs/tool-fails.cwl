cwlVersion: v1.2
class: CommandLineTool
baseCommand: [sh, -c, 'echo no such genome >&2; exit 3']
inputs:
  message: {type: string, inputBinding: {}}
  times: {type: int?, inputBinding: {prefix: -t}}
outputs:
  said: stdout
