"""Run Common Workflow Language documents as Prefect flows, one container per step."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cwl_prefect.api import RunResult, build_flow, compile_document, load_flow, load_plan, run

__all__ = ["RunResult", "__version__", "build_flow", "compile_document", "load_flow", "load_plan", "run"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Load the public names on first use: Prefect imports this package at every worker start."""
    if name in __all__:
        return getattr(import_module("cwl_prefect.api"), name)
    msg = f"module 'cwl_prefect' has no attribute {name!r}"
    raise AttributeError(msg)
