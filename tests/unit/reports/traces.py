"""Traces as runs write them, for tests of what is made of them."""

import json
from pathlib import Path

STARTED = {
    "event": "run_started",
    "at": 1000.0,
    "version": 1,
    "run": "5e7f95a1-6917",
    "name": "calm-cat",
    "workflow": "map",
    "document": "map.cwl",
    "host": "vm",
    "user": "ada",
    "versions": {"cwl-prefect": "0.1.0"},
    "inputs": {"x": "hi"},
    "drawing": {
        "id": "w1",
        "lines": ["map"],
        "nodes": [{"id": "s1", "kind": "tool", "lines": ["align"]}],
        "inner": [],
        "edges": [],
    },
}
ENDED = {"event": "run_ended", "at": 1010.0, "state": "succeeded", "message": None, "outputs": {"o": 1}}


def tried(call: str, state: str = "succeeded", **members):
    """Return the line of a try that ran from 1002 to 1006."""
    return {
        "event": "call_ended",
        "at": 1006.5,
        "step": call.partition("[")[0],
        "call": call,
        "state": state,
        "message": None,
        "try": 1,
        "backend": "docker",
        "cores": 2,
        "ram_mib": 512,
        "prepared_at": 1000.5,
        "ready_at": 1001,
        "started_at": 1002,
        "ended_at": 1006,
        "collected_at": 1006.5,
        "exit_code": 0,
        "reason": "Exited",
        "image": "python:3-slim",
        "node": "vm",
        "container": "c1",
        "cpu_s": 6.0,
        "peak_memory_mib": 300.0,
        "read_bytes": 10,
        "written_bytes": None,
        **members,
    }


def write(directory: Path, *lines, tail: str = "") -> Path:
    """Write a trace and return its directory."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "trace.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + tail)
    return directory
