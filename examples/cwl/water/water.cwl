#!/usr/bin/env cwl-prefect-runner
cwlVersion: v1.2
$graph:
  - class: Workflow
    id: main
    label: Water in a scene
    doc: An application package of Earth observation, which takes a STAC catalog with a scene and gives one with its water index.
    inputs:
      scene:
        type: Directory
        doc: Catalog with one item or more, each with the assets green and nir.
      least:
        type: float
        default: 0.1
        doc: Least index of a pixel that counts as water.
    steps:
      index:
        run: "#index"
        in:
          scene: scene
          least: least
        out: [catalog]
    outputs:
      water:
        type: Directory
        doc: Catalog with an item for each scene, which has the index and the share of water.
        outputSource: index/catalog

  - class: CommandLineTool
    id: index
    label: Water index (NDWI)
    doc: (green - near infrared) / (green + near infrared), pixel by pixel.
    baseCommand: [python3]
    inputs:
      program:
        type: File
        default:
          class: File
          location: water.py
        inputBinding:
          position: 1
      scene:
        type: Directory
        inputBinding:
          position: 2
      least:
        type: float
        inputBinding:
          position: 3
    outputs:
      catalog:
        type: Directory
        outputBinding:
          glob: water
