"""Workflows as flows of a repository, for `prefect deploy` (see prefect.yaml)."""

from pathlib import Path

from cwl_prefect import load_flow

WORKFLOWS = Path(__file__).parents[1] / "examples/cwl"

vegetation = load_flow(WORKFLOWS / "vegetation/vegetation.cwl")
hello = load_flow(WORKFLOWS / "hello/hello.cwl")
