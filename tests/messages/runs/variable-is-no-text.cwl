cwlVersion: v1.2
class: CommandLineTool
requirements:
  EnvVarRequirement:
    envDef:
      LEVEL: $(inputs.level)
baseCommand: env
inputs:
  level: boolean
outputs:
  said: stdout
