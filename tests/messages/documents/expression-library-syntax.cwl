cwlVersion: v1.2
class: CommandLineTool
requirements:
  InlineJavascriptRequirement:
    expressionLib:
      - function twice(text) { return text + text; }
      - |
        function shout(text) {
          return text.toUpperCase() + "!";
baseCommand: echo
inputs:
  message: string
arguments: [$(shout(inputs.message))]
outputs:
  said: stdout
