"""How many slots of which limits a call occupies."""

from dataclasses import replace

import pytest

from cwl_prefect.engine.scheduling.shared_limits import CONCURRENCY, slots_of, with_slots
from cwl_prefect.errors import DocumentError
from cwl_prefect.model.plan import ToolPlan
from tests.plans import tool


def hinting(limits: object) -> ToolPlan:
    return replace(tool(), hints=({"class": CONCURRENCY, "limits": limits},))  # type: ignore[dict-item]


def test_a_hint_says_how_many_of_which() -> None:
    assert slots_of(tool(), "s") == {}
    assert slots_of(hinting({"licences": 2, "database": 1, "none": 0}), "s") == {"database": 1, "licences": 2}


@pytest.mark.parametrize("limits", [None, 1, ["licences"], {"licences": "1"}, {"licences": -1}, {"licences": True}])
def test_a_hint_that_says_something_else_is_refused_by_its_step(limits: object) -> None:
    with pytest.raises(DocumentError, match=r"prepare\.align: the Concurrency hint has"):
        slots_of(hinting(limits), "prepare.align")


def test_what_is_said_beside_the_document_goes_over_its_hint() -> None:
    changed = with_slots(hinting({"licences": 2, "database": 1}), {"licences": 0, "disk": 3})
    assert slots_of(changed, "s") == {"database": 1, "disk": 3}
