cwlVersion: v1.2
class: ExpressionTool
label: The greenest scene
requirements:
  InlineJavascriptRequirement: {}
inputs:
  table:
    type: File
    loadContents: true
outputs:
  scene: string
  mean: float
expression: |
  ${
    var rows = inputs.table.contents.trim().split("\n").map(function (line) { return line.split(","); });
    var best = rows.reduce(function (a, b) { return Number(b[1]) > Number(a[1]) ? b : a; });
    return {"scene": best[0], "mean": Number(best[1])};
  }
