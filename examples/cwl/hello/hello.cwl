#!/usr/bin/env cwl-prefect-runner
cwlVersion: v1.2
class: CommandLineTool
doc: Say something. The smallest tool that is worth running.
baseCommand: echo
inputs:
  message:
    type: string
    doc: What to say.
    default: Hello, world!
    inputBinding: {}
outputs:
  greeting:
    type: stdout
    doc: A file that holds what was said.
stdout: greeting.txt
