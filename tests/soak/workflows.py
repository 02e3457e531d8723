"""Four workflows whose outputs follow from a number, one of which fails for odd ones."""

from collections.abc import Mapping

PARTS = (1, 2, 3, 4)
ODD = 3  # the exit code for odd numbers

_TOOL = """{class: CommandLineTool, requirements: {InlineJavascriptRequirement: {}, REQUIREMENTS},
    inputs: {number: int, part: int?, files: "File[]?"}, outputs: {o: stdout}, stdout: o, baseCommand: [sh, -ec],
    arguments: ['SCRIPT', "$(inputs.part === null ? inputs.number : inputs.part)",
      "${ return (inputs.files || []).map(function (file) { return file.path; }); }"]}"""
_HEAD = """\
cwlVersion: v1.2
class: Workflow
id: NAME
requirements: {ScatterFeatureRequirement: {}, SubworkflowFeatureRequirement: {}, MultipleInputFeatureRequirement: {},
  InlineJavascriptRequirement: {}}
inputs: {number: int}
"""
_TWO = """outputs: {text: {type: File, outputSource: second/o}}
steps:
  first: {run: SAY, in: {number: number}, out: [o]}
  second: {run: JOIN, in: {number: number, files: {source: [first/o], linkMerge: merge_flattened}}, out: [o]}
"""
_SCATTER = """outputs: {text: {type: File, outputSource: join/o}}
steps:
  each:
    run: SAY
    scatter: part
    in: {number: number, part: {default: [1, 2, 3, 4]}}
    out: [o]
  join: {run: JOIN, in: {number: number, files: each/o}, out: [o]}
"""
_NESTED = """outputs: {text: {type: File, outputSource: [inner/text, other/o], pickValue: first_non_null}}
steps:
  inner:
    when: $(inputs.number % 2 == 0)
    in: {number: number}
    out: [text]
    run:
      class: Workflow
      inputs: {number: int}
      outputs: {text: {type: File, outputSource: say/o}}
      steps: {say: {run: SAY, in: {number: number}, out: [o]}}
  other: {when: $(inputs.number % 2 == 1), run: SAY, in: {number: number}, out: [o]}
"""
_PICKY = """outputs: {text: {type: File, outputSource: picky/o}}
steps:
  picky: {run: PICKY, in: {number: number}, out: [o]}
"""
_BODIES = {"two": _TWO, "scatter": _SCATTER, "nested": _NESTED, "picky": _PICKY}
_SCRIPTS = {
    "SAY": "sleep 1; echo number $0",
    "JOIN": 'cat "$@"; echo joined $0',
    "PICKY": f"sleep 0.5; case $0 in *[13579]) exit {ODD};; esac; echo even $0",
}

NAMES = tuple(_BODIES)


def document(name: str, *, image: str | None) -> str:
    """Write a workflow, whose tools run in containers of an image or as processes."""
    amounts = "ResourceRequirement: {coresMin: 0.1, ramMin: 32}"
    requirements = amounts if image is None else f'DockerRequirement: {{dockerPull: "{image}"}}, {amounts}'
    text = _HEAD.replace("NAME", name) + _BODIES[name]
    for tool, script in _SCRIPTS.items():
        text = text.replace(f"run: {tool}", f"run: {_TOOL.replace('SCRIPT', script)}")
    return text.replace("REQUIREMENTS", requirements)


def fails(name: str, number: int) -> bool:
    """Check whether a workflow fails for a number."""
    return name == "picky" and number % 2 == 1


def expected(name: str, number: int) -> str:
    """Give what a workflow writes for a number."""
    texts: Mapping[str, str] = {
        "two": f"number {number}\njoined {number}\n",
        "scatter": "".join(f"number {part}\n" for part in PARTS) + f"joined {number}\n",
        "nested": f"number {number}\n",
        "picky": f"even {number}\n",
    }
    return texts[name]
