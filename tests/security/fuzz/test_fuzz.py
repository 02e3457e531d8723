"""Thousands of odd documents, job orders and outputs of tools: each is taken or refused in words, in time.

`make fuzz` tries them for half an hour, the tests of every day for three minutes (`FUZZ_SECONDS` for all three kinds).
A failure names its seed; `FUZZ_SEED` begins with it.
"""

import faulthandler
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

import pytest
from ruamel.yaml import YAML

from cwl_prefect.cwl.binding.bind import Binder, Place
from cwl_prefect.cwl.binding.inputs import prepare_inputs
from cwl_prefect.cwl.binding.job_orders import load_job_order
from cwl_prefect.cwl.javascript import engine
from cwl_prefect.cwl.loading.compile import compile_process
from cwl_prefect.cwl.loading.load import load_processes, translated_errors
from cwl_prefect.engine.outputs.publish import publish
from cwl_prefect.engine.outputs.validate import validate
from cwl_prefect.errors import CwlPrefectError
from cwl_prefect.model.plan import ToolPlan, WorkflowPlan, encode_plan
from tests.security.fuzz.mutation import Mutation, text_of

SECONDS = float(os.environ.get("FUZZ_SECONDS", "180"))
FIRST_SEED = int(os.environ.get("FUZZ_SEED", "0"))
MOST = 20_000 if "FUZZ_SECONDS" in os.environ else 600
"""Examples of each kind; every day the same, so that a failure is that day's change."""
LONGEST_S = 10.0

TOOL = """
cwlVersion: v1.2
class: CommandLineTool
requirements:
  InlineJavascriptRequirement: {}
  ResourceRequirement: {coresMin: 1, ramMin: 64}
  InitialWorkDirRequirement: {listing: [{entryname: a.txt, entry: $(inputs.text)}]}
  SchemaDefRequirement:
    types: [{name: pair, type: record, fields: [{name: left, type: int}, {name: right, type: File?}]}]
hints: {DockerRequirement: {dockerPull: debian}, NetworkAccess: {networkAccess: true}}
baseCommand: [echo, -n]
arguments: [{valueFrom: $(inputs.number), prefix: -x, position: 2}, "${return inputs.text;}"]
inputs:
  text: {type: string, default: hello, inputBinding: {position: 1, prefix: --text}}
  number: {type: "int?", doc: a number}
  many: {type: {type: array, items: string, inputBinding: {prefix: -m}}, default: [a, b]}
  file:
    type: File?
    secondaryFiles: [.bai, {pattern: "^.fai", required: false}]
    format: "http://edamontology.org/format_1930"
  directory: {type: Directory?, loadListing: deep_listing}
  pair: {type: "pair?"}
  one: {type: ["null", {type: enum, symbols: [a, b]}, float]}
stdout: out.txt
outputs:
  out: stdout
  found: {type: "File[]", outputBinding: {glob: "*.txt", loadContents: true}}
  made: {type: Any?, outputBinding: {outputEval: $(inputs.many)}}
"""
WORKFLOW = """
cwlVersion: v1.2
$graph:
- id: main
  class: Workflow
  requirements: {ScatterFeatureRequirement: {}, StepInputExpressionRequirement: {}, InlineJavascriptRequirement: {}}
  inputs: {words: {type: "string[]", default: [a]}, flag: boolean?}
  outputs:
    all: {type: "File[]", outputSource: first/o, pickValue: all_non_null}
    last: {type: int, outputSource: second/n}
  steps:
    first: {run: "#echo", scatter: w, in: {w: words}, out: [o], when: $(inputs.w != "x")}
    second:
      run: {class: ExpressionTool, inputs: {f: "File[]"}, outputs: {n: int}, expression: "$({n: inputs.f.length})"}
      in: {f: {source: [first/o], linkMerge: merge_flattened}}
      out: [n]
- id: echo
  class: CommandLineTool
  baseCommand: echo
  inputs: {w: {type: string, inputBinding: {}}}
  outputs: {o: stdout}
"""
ORDER = """
text: words
number: 3
many: [x, y]
file:
  class: File
  location: here.txt
  secondaryFiles: [{class: File, path: here.txt, basename: here.txt.bai}]
  format: "http://edamontology.org/format_1930"
directory: {class: Directory, basename: d, listing: [{class: File, basename: l.txt, contents: text}]}
pair: {left: 1, right: {class: File, path: here.txt}}
one: a
"""
OUTPUTS = """
out: {class: File, path: out.txt, secondaryFiles: [{class: File, path: out.txt}]}
found: [{class: File, location: out.txt, basename: other}, {class: File, basename: new.txt, contents: new}]
made: {class: Directory, path: d, listing: [{class: File, path: out.txt}]}
"""


def seeds(seconds: float) -> Iterator[int]:
    """Yield one seed after another until the time is over."""
    until = time.monotonic() + seconds
    for seed in range(FIRST_SEED, FIRST_SEED + MOST):
        if time.monotonic() > until:
            return
        yield seed


def too_long(number: int, frame: FrameType | None) -> None:
    raise TimeoutError(f"longer than {LONGEST_S:g} s")


@contextmanager
def tried(what: str, seed: int, path: Path) -> Iterator[None]:
    """Let only errors with words for the user end an example, within its time; a crash shows where it was."""
    before = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, LONGEST_S)
    faulthandler.dump_traceback_later(6 * LONGEST_S, exit=True)
    try:
        yield
    except CwlPrefectError:
        pass
    except Exception as error:
        shown = path.read_bytes()[:2000]
        raise AssertionError(f"{what}, seed {seed}: {type(error).__name__}: {error}\n{shown!r}") from error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        faulthandler.cancel_dump_traceback_later()


@pytest.fixture(autouse=True)
def _engine() -> None:
    engine.install(timeout_s=2, memory_mib=64)


def sound(text: str) -> Any:
    return YAML(typ="safe").load(text)


def compiled(path: Path) -> tuple[WorkflowPlan, ...]:
    with translated_errors(str(path)):
        return tuple(compile_process(process, origin=str(path)) for process in load_processes(str(path)))


@pytest.fixture
def plan(tmp_path: Path) -> WorkflowPlan:
    path = tmp_path / "sound.cwl"
    path.write_text(TOOL)
    return compiled(path)[0]


def test_documents(tmp_path: Path) -> None:
    documents = [sound(TOOL), sound(WORKFLOW)]
    path = tmp_path / "main.cwl"
    for seed in seeds(SECONDS / 3):
        random = Random(seed)
        path.write_bytes(text_of(Mutation(random).of(random.choice(documents)), random))
        with tried("document", seed, path):
            for found in compiled(path):
                encode_plan(found)


def test_job_orders(tmp_path: Path, plan: WorkflowPlan) -> None:
    (tmp_path / "here.txt").write_text("here")
    order = sound(ORDER)
    path = tmp_path / "order.json"
    for seed in seeds(SECONDS / 3):
        random = Random(seed)
        path.write_bytes(text_of(Mutation(random).of(order), random))
        with tried("job order", seed, path):
            given = load_job_order(path)
            prepare_inputs(plan, given, ontology=plan.ontology, outermost=True, name="main")


def test_outputs_that_tools_write_themselves(tmp_path: Path, plan: WorkflowPlan) -> None:
    directories = {name: tmp_path / name for name in ("out", "tmp", "stage", "results")}
    for directory in directories.values():
        directory.mkdir()
    outdir = directories["out"]
    (outdir / "out.txt").write_text("out")
    (outdir / "d").mkdir()
    path = outdir / "cwl.output.json"
    tool = plan.steps[0].run
    assert isinstance(tool, ToolPlan)
    place = Place(
        outdir=outdir, tmpdir=directories["tmp"], stagedir=directories["stage"], containers=False, search_path="/bin"
    )
    bound = Binder().bind(tool, {"text": "a", "many": []}, place, name="main")
    outputs = sound(OUTPUTS)
    for seed in seeds(SECONDS / 3):
        random = Random(seed)
        path.write_bytes(text_of(Mutation(random).of(outputs), random))
        with tried("cwl.output.json", seed, path):
            found = bound.collect(outdir, 0)
            validate(found, bound.call, outdir, name="main")
            publish(found, directories["results"], move_from=())
