"""A workflow whose first step gives links to its inputs and to its own files, and whose second reads what they are."""

from pathlib import Path

from pydantic import JsonValue

from cwl_prefect.settings import Settings
from tests.security.driven import driven

WORKFLOW = """\
cwlVersion: v1.2
class: Workflow
hints: {DockerRequirement: {dockerPull: "busybox:1.35"}}
inputs:
  file: {type: File, secondaryFiles: [.idx]}
  directory: Directory
  literal: {type: File, default: {class: File, basename: literal.txt, contents: "literal "}}
outputs:
  text: {type: File, outputSource: read/text}
  linked: {type: File, outputSource: link/linked}
  made: {type: Directory, outputSource: link/made}
steps:
  link:
    in: {file: file, directory: directory, literal: literal}
    out: [linked, directory, others, made]
    run:
      class: CommandLineTool
      inputs:
        file: {type: File, secondaryFiles: [.idx], inputBinding: {position: 1}}
        directory: {type: Directory, inputBinding: {position: 2}}
        literal: {type: File, inputBinding: {position: 3}}
      baseCommand:
        - sh
        - -c
        - |
          mkdir -p made/deep && printf 'own ' > own
          ln -s "$0" linked.txt && ln -s "$0.idx" linked.txt.idx && ln -s "$1" directory
          ln -s "$1/inner" 1-inner && ln -s "$PWD/own" 2-own && ln -s "$2" 3-literal && ln -s linked.txt 4-chain
          ln -s "$0" made/deep/file && ln -s "$PWD/own" made/own && ln -s ../linked.txt.idx made/index
          ln -s "$2" made/literal && ln -s "$1" made/directory
      outputs:
        linked: {type: File, secondaryFiles: [.idx], outputBinding: {glob: linked.txt}}
        directory: {type: Directory, outputBinding: {glob: directory}}
        others: {type: "File[]", outputBinding: {glob: "[1-4]-*"}}
        made: {type: Directory, outputBinding: {glob: made}}
  read:
    in: {linked: link/linked, directory: link/directory, others: link/others, made: link/made}
    out: [text]
    run:
      class: CommandLineTool
      inputs:
        linked: {type: File, secondaryFiles: [.idx], inputBinding: {position: 1}}
        directory: {type: Directory, inputBinding: {position: 2}}
        made: {type: Directory, inputBinding: {position: 3}}
        others: {type: "File[]", inputBinding: {position: 4}}
      baseCommand:
        - sh
        - -c
        - |
          file="$0" directory="$1" made="$2"; shift 2
          cat "$file" "$file.idx" "$directory/inner" "$made/deep/file" "$made/own" "$made/index" "$made/literal"
          cat "$made/directory/inner" "$@"
      stdout: text
      outputs: {text: stdout}
"""
READ = "file index inner file own index literal inner inner own literal file "
"""What the second step reads: by name, then of the array."""


def job_order(place: Path) -> dict[str, JsonValue]:
    """Write the inputs into a directory; return the job order that names them."""
    (place / "given").mkdir(parents=True)
    for name, text in (("file.txt", "file "), ("file.txt.idx", "index "), ("given/inner", "inner ")):
        (place / name).write_text(text)
    return {
        "file": {"class": "File", "location": (place / "file.txt").as_uri()},
        "directory": {"class": "Directory", "location": (place / "given").as_uri()},
    }


async def read_through_links(place: Path, **settings: object) -> str:
    """Run the workflow in a directory; return what its second step read."""
    (place / "wf.cwl").write_text(WORKFLOW)
    chosen = Settings.model_validate({"cache": False, **settings})
    outputs = await driven(place / "wf.cwl", job_order(place), chosen)
    found = outputs["text"]
    assert isinstance(found, dict)
    return Path(str(found["location"]).removeprefix("file://")).read_text()
