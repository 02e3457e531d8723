cwlVersion: v1.2
class: Workflow
label: One scene
inputs:
  red: File
  near_infrared: File
  dense_from: float
steps:
  ndvi:
    run: ndvi.cwl
    in:
      red: red
      near_infrared: near_infrared
    out: [index]
  classify:
    run: classify.cwl
    in:
      index: ndvi/index
      dense_from: dense_from
    out: [classes]
  summarize:
    run: summarize.cwl
    in:
      index: ndvi/index
      dense_from: dense_from
    out: [summary]
outputs:
  index:
    type: File
    outputSource: ndvi/index
  classes:
    type: File[]
    outputSource: classify/classes
  summary:
    type: File
    outputSource: summarize/summary
