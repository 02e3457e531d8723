"""Kill a driver, its tools, the server or a worker at random moments, resume, and compare with an undisturbed run.

``make chaos`` runs 200 seeds; CI a few. A seed says where the steps run, what is killed and when.
"""

import os
from collections.abc import Mapping
from concurrent.futures import Future

import pytest

from tests.chaos.case import Case, Target
from tests.chaos.playing import Ending, Undisturbed

pytestmark = pytest.mark.server

SEEDS = int(os.environ.get("CHAOS_SEEDS", "12"))
FIRST_SEED = int(os.environ.get("CHAOS_FIRST_SEED", "0"))

CASES = [Case.of(seed) for seed in range(FIRST_SEED, FIRST_SEED + SEEDS)]
MARKED = [
    pytest.param(case, id=str(case), marks=[pytest.mark.docker] if case.backend == "docker" else []) for case in CASES
]


@pytest.mark.parametrize("case", MARKED)
def test_a_killed_run_ends_as_if_nothing_had_happened(
    case: Case, endings: "Mapping[Case, Future[Ending]]", expected: "Mapping[str, Future[Undisturbed]]"
) -> None:
    ending = endings[case].result()
    print(ending)
    assert ending.outputs == expected[case.backend].result().outputs
    assert ending.left == []
    assert ending.executed_again() == []
    if case.backend == "docker" and case.target is not Target.TOOL:  # containers outlive whoever started them
        assert ending.executed_twice() == []
