"""Fixtures for pytest, which finds them by itself where cwl-prefect is installed."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from cwl_prefect.settings import Settings
    from cwl_prefect.testing.simulation import Simulation


@pytest.fixture
def cwl_settings(tmp_path: Path) -> "Settings":
    """Settings with a home of the test's own: no cache, no workspace and no server of the user's is touched."""
    from cwl_prefect.settings import Settings

    return Settings(home=tmp_path / "cwl-prefect")


@pytest.fixture
def cwl_simulate(tmp_path: Path, cwl_settings: "Settings") -> "Callable[..., Simulation]":
    """Simulate a run in the test's own directory: see :func:`cwl_prefect.testing.simulate`."""
    from cwl_prefect.testing.simulation import simulate

    return partial(simulate, directory=tmp_path / "simulation", settings=cwl_settings)
