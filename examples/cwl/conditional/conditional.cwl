#!/usr/bin/env cwl-prefect-runner
cwlVersion: v1.2
class: Workflow
label: Compress what is large
doc: |
  A text longer than `limit` bytes is compressed, a shorter one is copied as it is. Exactly one of the two steps runs; `pickValue` takes
  the result of the one that did.
requirements:
  InlineJavascriptRequirement: {}
  MultipleInputFeatureRequirement: {}
inputs:
  text: File
  limit:
    type: int
    default: 100
steps:
  compress:
    when: $(inputs.text.size > inputs.limit)
    run:
      class: CommandLineTool
      baseCommand: [gzip, -n, -c]
      inputs:
        text:
          type: File
          inputBinding: {}
      stdout: $(inputs.text.basename).gz
      outputs:
        result: stdout
    in: {text: text, limit: limit}
    out: [result]
  copy:
    when: $(inputs.text.size <= inputs.limit)
    run:
      class: CommandLineTool
      baseCommand: cat
      inputs:
        text:
          type: File
          inputBinding: {}
      stdout: $(inputs.text.basename)
      outputs:
        result: stdout
    in: {text: text, limit: limit}
    out: [result]
outputs:
  result:
    type: File
    outputSource: [compress/result, copy/result]
    pickValue: the_only_non_null
