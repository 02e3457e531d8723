"""The name under which deployments have stored the flow of :mod:`cwl_prefect.runs.housekeeping`."""

from importlib import import_module


def __getattr__(name: str) -> object:
    """Load the flow from its room when Prefect asks for it (PEP 562); this room may not import that one."""
    return getattr(import_module("cwl_prefect.runs.housekeeping"), name)
