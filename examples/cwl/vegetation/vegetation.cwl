#!/usr/bin/env cwl-prefect-runner
cwlVersion: v1.2
class: Workflow
label: Vegetation over a season
doc: |
  From the red and the near infrared band of several scenes: a vegetation index (NDVI) for each scene, its pixels sorted into
  classes, one table over all scenes, and the name of the greenest one.
requirements:
  ScatterFeatureRequirement: {}
  SubworkflowFeatureRequirement: {}
  StepInputExpressionRequirement: {}
  InlineJavascriptRequirement: {}
inputs:
  red:
    type: File[]
    doc: Red band of each scene, a grid of reflectances as comma separated values.
  near_infrared:
    type: File[]
    doc: Near infrared band of each scene, in the same order.
  dense_from:
    type: float
    default: 0.5
    doc: Least index of a pixel that counts as dense vegetation.
steps:
  scene:
    doc: Every scene by itself, all at once.
    run: scene.cwl
    scatter: [red, near_infrared]
    scatterMethod: dotproduct
    in:
      red: red
      near_infrared: near_infrared
      dense_from: dense_from
    out: [index, classes, summary]
  season:
    doc: One table over all scenes.
    run: season.cwl
    in:
      summaries: scene/summary
    out: [table]
  greenest:
    doc: The scene with the highest mean index.
    run: greenest.cwl
    in:
      table: season/table
    out: [scene, mean]
outputs:
  maps:
    type: File[]
    doc: The index of each scene.
    outputSource: scene/index
  classes:
    type:
      type: array
      items:
        type: array
        items: File
    doc: For each scene, the pixels of each class that it has.
    outputSource: scene/classes
  table:
    type: File
    doc: Scene, mean, least and greatest index, and the share of dense vegetation, one line a scene.
    outputSource: season/table
  greenest_scene:
    type: string
    outputSource: greenest/scene
  greenest_mean:
    type: float
    outputSource: greenest/mean
