"""Outputs have the types that `cwl-prefect types` wrote; type checkers read this file, nothing runs it."""

from pathlib import Path
from typing import assert_type

from vegetation_types import VegetationInputs, VegetationOutputs

from cwl_prefect import File, RunResult, load_flow, run, run_sync

DOCUMENT = "examples/cwl/vegetation/vegetation.cwl"


async def reads_what_a_run_gives(order: VegetationInputs) -> float:
    """Values are reached without casts."""
    result = await run(DOCUMENT, order, outputs=VegetationOutputs)
    assert_type(result, RunResult[VegetationOutputs])
    assert_type(result.outputs["table"]["path"], str)
    assert_type(result.outputs["classes"][0], list[File])
    return result.outputs["greenest_mean"]


async def reads_what_a_flow_gives(red: list[Path], near_infrared: list[Path]) -> int:
    """A flow has them too, awaited or not, and with other options."""
    flow = load_flow(DOCUMENT, outputs=VegetationOutputs)
    outputs = await flow(red=red, near_infrared=near_infrared)
    assert_type(outputs["table"]["path"], str)
    assert_type(flow.with_options(retries=2).run_sync(red=red)["maps"][0]["basename"], str)
    return outputs["table"]["size"]


def gives_inputs_by_their_types() -> str:
    """A path will do for a file, and what has a default may be left out."""
    order: VegetationInputs = {"red": ["red.tif", Path("more.tif")], "near_infrared": []}
    return run_sync(DOCUMENT, order, outputs=VegetationOutputs).outputs["greenest_scene"]
