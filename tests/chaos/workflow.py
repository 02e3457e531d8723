"""The workflow whose runs are killed: a scatter between two steps, as processes or in containers."""

from pathlib import Path

PARTS = range(1, 9)
CALLS = {"upper", "join", *(f"count[{part - 1}]" for part in PARTS)}

WORKFLOW = """\
cwlVersion: v1.2
class: Workflow
requirements: {ScatterFeatureRequirement: {}, StepInputExpressionRequirement: {}}
inputs: {text: File, parts: "int[]", log: string}
outputs:
  joined: {type: File, outputSource: join/o}
  counts: {type: "File[]", outputSource: count/o}
steps:
  upper: {run: upper.cwl, in: {f: text, log: log}, out: [o]}
  count: {run: count.cwl, in: {f: upper/o, part: parts, log: log}, scatter: part, out: [o]}
  join: {run: join.cwl, in: {f: count/o, log: log}, out: [o]}
"""
# A tool notes when it begins and ends, where it sees the log: not in a container, where the engine is asked instead.
TOOL = """\
cwlVersion: v1.2
class: CommandLineTool
hints: {{DockerRequirement: {{dockerPull: "busybox:1.35"}}}}
requirements: {{ResourceRequirement: {{coresMin: 0.25, ramMin: 16}}}}
inputs:
  f: {{type: "{type}", inputBinding: {{position: 3}}}}
  part: {{type: int, default: 0, inputBinding: {{position: 2}}}}
  log: {{type: string, inputBinding: {{position: 1}}}}
outputs: {{o: {{type: stdout}}}}
stdout: {name}.txt
baseCommand: [sh, -ec]
arguments: [{{position: 0, valueFrom: 'p=$1; note() {{ test ! -w "$l" || date "+$1 {name} $p %s.%N" >> "$l"; }};
  l=$0; note began; {script}; note ended'}}]
"""
SCRIPTS = (
    ("upper", "File", 'sleep 0.2; tr a-z A-Z < "$2"'),
    ("count", "File", 'sleep 0.$1; head -n $1 "$2"'),
    ("join", "File[]", 'shift 1; sleep 0.2; cat "$@"'),
)


def write_tools(directory: Path) -> None:
    """Write the documents of the tools beside the workflow's."""
    for name, kind, script in SCRIPTS:
        text = TOOL.format(name=name, type=kind, script=script.replace("'", "''"))
        (directory / f"{name}.cwl").write_text(text)


def write_text(path: Path) -> Path:
    """Write the file that the workflow works on."""
    path.write_text("".join(f"line {number}\n" for number in range(50)))
    return path
