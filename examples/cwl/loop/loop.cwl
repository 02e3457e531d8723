#!/usr/bin/env cwl-prefect-runner
cwlVersion: v1.3.0-dev1
class: Workflow
label: Square root by Newton's method
doc: Repeat a step until its result is good enough, and keep every approximation on the way.
requirements:
  InlineJavascriptRequirement: {}
inputs:
  number:
    type: float
    doc: Whose square root is wanted.
  guess:
    type: float
    default: 1.0
    doc: Where to begin.
steps:
  improve:
    when: $(Math.abs(inputs.guess * inputs.guess - inputs.number) > 0.0001)
    loop:
      guess: better
    outputMethod: all_iterations
    run:
      class: ExpressionTool
      inputs:
        number: float
        guess: float
      outputs:
        better: float
      expression: '$({"better": Math.round((inputs.guess + inputs.number / inputs.guess) * 500000) / 1000000})'
    in:
      number: number
      guess: guess
    out: [better]
outputs:
  approximations:
    type: float[]
    outputSource: improve/better
