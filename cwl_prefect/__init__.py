"""Run Common Workflow Language documents as Prefect flows, one container per step."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cwl_prefect.api import *  # noqa: F403 - its `__all__` are the public names

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Load the public names on first use: the command line and every worker import this package for other things."""
    if name == "__all__" or not name.startswith("_"):
        api = import_module("cwl_prefect.api")
        if name == "__all__":
            return [*api.__all__, "__version__"]
        if name in api.__all__:
            return getattr(api, name)
    msg = f"module 'cwl_prefect' has no attribute {name!r}"
    raise AttributeError(msg)
