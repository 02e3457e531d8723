cwlVersion: v1.2
class: Workflow
requirements:
  MultipleInputFeatureRequirement: {}
inputs:
  one: string
  other: string
steps: {}
outputs:
  picked:
    type: string
    outputSource: [one, other]
    pickValue: the_only_non_null
