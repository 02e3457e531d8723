"""What is run: generated CWL documents, their job orders, and how to tell that the outputs are right."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tests.bench.processes import BenchError

Json = dict[str, object]

JAVASCRIPT = {"class": "InlineJavascriptRequirement"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A document on disk with its job order, and the check of what it gives."""

    document: Path
    job_order: Path
    verify: Callable[[Json], None]


def _contents(file: object) -> str:
    if not isinstance(file, dict) or file.get("class") != "File":
        raise BenchError(f"expected a File, found {file!r}")
    return Path(unquote(urlsplit(file["location"]).path)).read_text("utf-8")


def _same(found: object, expected: object, what: str) -> None:
    if found != expected:
        raise BenchError(f"{what}: expected {str(expected)[:200]}, found {str(found)[:200]}")


def _write(directory: Path, name: str, document: Json, job_order: Json, verify: Callable[[Json], None]) -> Workload:
    paths = directory / f"{name}.cwl", directory / f"{name}.json"
    for path, value in zip(paths, (document, job_order), strict=True):
        path.write_text(json.dumps(value), "utf-8")
    return Workload(document=paths[0], job_order=paths[1], verify=verify)


def echo(directory: Path) -> Workload:
    """One echo."""
    document: Json = {
        "cwlVersion": "v1.2",
        "class": "CommandLineTool",
        "baseCommand": "echo",
        "inputs": {"message": {"type": "string", "inputBinding": {}}},
        "stdout": "said.txt",
        "outputs": {"said": "stdout"},
    }
    return _write(
        directory,
        "echo",
        document,
        {"message": "once"},
        lambda outputs: _same(_contents(outputs["said"]), "once\n", "echo"),
    )


def failing(directory: Path) -> Workload:
    """One call that fails."""
    document: Json = {
        "cwlVersion": "v1.2",
        "class": "CommandLineTool",
        "baseCommand": ["sh", "-c", "echo it cannot be >&2; exit 1"],
        "inputs": {},
        "outputs": {},
    }
    return _write(directory, "failing", document, {}, lambda _: None)


def scatter(directory: Path, width: int, *, javascript: bool = False, image: str | None = None) -> Workload:
    """A scatter of echo over messages, each call with an output file of its own."""
    tool: Json = {
        "class": "CommandLineTool",
        "baseCommand": "echo",
        "inputs": {"message": "string"},
        "arguments": ["$(inputs.message.toUpperCase() + '!')" if javascript else "$(inputs.message)"],
        "stdout": "$(inputs.message).txt",
        "outputs": {"said": "stdout"},
        "requirements": [JAVASCRIPT] if javascript else [],
    }
    if image is not None:
        tool["requirements"] = [{"class": "DockerRequirement", "dockerPull": image}]
    document: Json = {
        "cwlVersion": "v1.2",
        "class": "Workflow",
        "requirements": [{"class": "ScatterFeatureRequirement"}],
        "inputs": {"messages": "string[]"},
        "steps": {"say": {"run": tool, "scatter": "message", "in": {"message": "messages"}, "out": ["said"]}},
        "outputs": {"said": {"type": "File[]", "outputSource": "say/said"}},
    }
    messages = [f"message-{index}" for index in range(width)]
    expected = [f"{message.upper()}!\n" if javascript else f"{message}\n" for message in messages]

    def verify(outputs: Json) -> None:
        said = outputs["said"]
        _same(len(said) if isinstance(said, list) else None, width, "number of outputs")
        _same([_contents(file) for file in said], expected, "contents of the outputs")  # type: ignore[attr-defined]

    kind = "-javascript" if javascript else "-docker" if image else ""
    return _write(directory, f"scatter-{width}{kind}", document, {"messages": messages}, verify)


def chain(directory: Path, length: int) -> Workload:
    """Steps of cat, each waiting for the one before."""
    tool: Json = {
        "class": "CommandLineTool",
        "baseCommand": "cat",
        "inputs": {
            "file": {"type": "File", "inputBinding": {}},
            "number": "int",
        },  # tells the calls apart for the cache
        "stdout": "copy.txt",
        "outputs": {"copy": "stdout"},
    }
    steps = {
        f"copy{index}": {
            "run": tool,
            "in": {"file": f"copy{index - 1}/copy" if index else "file", "number": {"default": index}},
            "out": ["copy"],
        }
        for index in range(length)
    }
    document: Json = {
        "cwlVersion": "v1.2",
        "class": "Workflow",
        "inputs": {"file": "File"},
        "steps": steps,
        "outputs": {"copy": {"type": "File", "outputSource": f"copy{length - 1}/copy"}},
    }
    source = directory / "chain.txt"
    source.write_text("from hand to hand\n", "utf-8")
    return _write(
        directory,
        f"chain-{length}",
        document,
        {"file": {"class": "File", "location": source.as_uri()}},
        lambda outputs: _same(_contents(outputs["copy"]), "from hand to hand\n", "end of the chain"),
    )
