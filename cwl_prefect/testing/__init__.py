"""For tests of workflows: tools that are played, and runs of days that take moments; above all, nothing uses it."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cwl_prefect.backends.fake import FakeBackend
    from cwl_prefect.testing.assertions import assert_called, assert_completed
    from cwl_prefect.testing.fakes import FakeCall, FakeTool, FakeTools
    from cwl_prefect.testing.simulation import Simulation, simulate

__all__ = [
    "FakeBackend",
    "FakeCall",
    "FakeTool",
    "FakeTools",
    "Simulation",
    "assert_called",
    "assert_completed",
    "simulate",
]

_HOMES = {
    "FakeBackend": "cwl_prefect.backends.fake",
    "FakeCall": "cwl_prefect.testing.fakes",
    "FakeTool": "cwl_prefect.testing.fakes",
    "FakeTools": "cwl_prefect.testing.fakes",
    "Simulation": "cwl_prefect.testing.simulation",
    "assert_called": "cwl_prefect.testing.assertions",
    "assert_completed": "cwl_prefect.testing.assertions",
    "simulate": "cwl_prefect.testing.simulation",
}


def __getattr__(name: str) -> object:
    """Load the public names on first use: pytest imports this package in all its runs, for the plugin beside."""
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_HOMES[name]), name)
