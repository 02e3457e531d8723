"""Types of the workflow vegetation, written by `cwl-prefect types`."""

from pathlib import Path
from typing import NotRequired, TypedDict

from cwl_prefect import File


class VegetationInputs(TypedDict):
    red: list[File | Path | str]
    near_infrared: list[File | Path | str]
    dense_from: NotRequired[float]


class VegetationOutputs(TypedDict):
    classes: list[list[File]]
    greenest_mean: float
    greenest_scene: str
    maps: list[File]
    table: File
