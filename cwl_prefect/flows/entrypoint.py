"""What a deployment names as its entry point: ``flow`` is the flow of the workflow that the pull step unpacked here."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prefect import Flow


def __getattr__(name: str) -> "Flow[..., Any]":
    """Build the flow when Prefect asks for it (PEP 562); where it cannot be, one whose runs say why."""
    if name != "flow":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from cwl_prefect._lib.synchronous import awaited
    from cwl_prefect.errors import CwlPrefectError
    from cwl_prefect.flows.build import build_flow
    from cwl_prefect.flows.deployment.failing_flow import failing_flow
    from cwl_prefect.flows.deployment.pull_step import unpacked
    from cwl_prefect.flows.storage_blocks import lent_by_block
    from cwl_prefect.settings import Settings

    try:
        settings = Settings()
        with awaited(partial(lent_by_block, settings)):
            deployed = unpacked(Path.cwd())
        return build_flow(deployed.plan, settings, deployed=deployed)
    except CwlPrefectError as error:
        return failing_flow(error)
