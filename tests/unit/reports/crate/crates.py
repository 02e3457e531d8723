"""Crates of traces as runs write them, for tests."""

from pathlib import Path

from cwl_prefect._lib.hashing import checksum_of
from cwl_prefect._lib.uris import file_uri
from cwl_prefect.cwl.loading.compile import compile_process
from cwl_prefect.cwl.loading.load import load_process
from cwl_prefect.model.plan import encode_plan
from cwl_prefect.reports.crate.history import read_history
from cwl_prefect.reports.crate.write import crate_of
from cwl_prefect.settings import Settings
from tests.unit.flows.driving import graph, subworkflow
from tests.unit.reports import traces

PLAIN = graph(
    """
    inputs: {x: string}
    outputs: {r: {type: string, outputSource: first/o}}
    steps:
      first: {run: '#say', in: {x: x}, out: [o]}
      second: {run: '#join', in: {x: first/o, y: x}, out: [o]}
    """
)
NESTED = graph(
    """
    inputs: {xs: 'string[]'}
    outputs: {r: {type: 'string[]', outputSource: part/o}}
    steps: {part: {run: '#inner', scatter: x, in: {x: xs}, out: [o]}}
    """,
    subworkflow(
        "inner",
        """
        inputs: {x: string}
        outputs: {o: {type: string, outputSource: say/o}}
        steps: {say: {run: '#say', in: {x: x}, out: [o]}}
        """,
    ),
)


def compiled(directory: Path, document: str):
    """Return the plan of a document."""
    path = directory / "document.cwl"
    path.write_text(document)
    return compile_process(load_process(f"{path}#main"), origin=str(path))


def record(directory: Path, document: str, *lines, inputs=None, ended=traces.ENDED) -> Path:
    """Write the trace of a run of a document, with its plan, and return their directory."""
    started = {**traces.STARTED, "inputs": inputs or {"x": "hi"}}
    found = traces.write(directory / "trace", started, *lines, *([] if ended is None else [ended]))
    (found / "plan.json").write_bytes(encode_plan(compiled(directory, document)))
    return found


def entities(directory: Path, document: str, *lines, data: bool = True, settings=None, **more):
    """Return the entities of the crate of a run, by identifier."""
    recorded = record(directory, document, *lines, **more)
    known = settings or Settings(home=directory / "home")
    crate = crate_of(read_history(recorded), compiled(directory, document), known, data=data)
    return {found["@id"]: found for found in crate.metadata["@graph"]}


def file(path: Path, content: str, **fields):
    """Write a file and return it as CWL has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return {
        "class": "File",
        "location": file_uri(path),
        "basename": path.name,
        "checksum": checksum_of(content.encode()),
        "size": len(content),
        **fields,
    }


def references(found, name):
    """Return the identifiers that a property refers to."""
    value = found.get(name, [])
    return [one["@id"] for one in (value if isinstance(value, list) else [value])]


def actions(found):
    """Return the calls with the names of their states."""
    return {
        name: entity["actionStatus"]["@id"].rpartition("/")[2].removesuffix("ActionStatus")
        for name, entity in found.items()
        if name.startswith("#call/")
    }
