import pytest

from cwl_prefect.engine.scheduling.priority import PRIORITY, Priorities
from cwl_prefect.errors import DocumentError
from cwl_prefect.model.plan import ToolPlan
from tests import plans


def tool(*hints: dict, **said: str) -> ToolPlan:
    return plans.tool(hints=hints, **said)


def hint(priority: object) -> dict:
    return {"class": PRIORITY, "priority": priority}


def test_without_a_hint_it_is_nought():
    assert Priorities({}).rank("align", tool()).priority == 0


def test_the_nearest_hint_counts():
    assert Priorities({}).rank("align", tool(hint(1), {"class": "Other"}, hint(7))).priority == 7


@pytest.mark.parametrize(
    ("patterns", "step", "priority"),
    [
        ({"*": 3}, "align", 3),
        ({"*": 3, "al*": 4}, "align", 4),
        ({"sort": 3}, "align", 7),
        ({"prepare.align": -2}, "prepare[4].align", -2),
    ],
)
def test_a_pattern_of_the_settings_wins(patterns, step, priority):
    assert Priorities(patterns).rank(step, tool(hint(7))).priority == priority


def test_patterns_that_fit_no_step_are_known():
    priorities = Priorities({"*": 1, "prepare.*": 2, "prepare": 3, "sort?": 4, "sort": 5})
    assert priorities.unused(["prepare.align", "sort"]) == ["prepare", "sort?"]


def test_a_step_is_one_in_all_elements_of_a_scatter():
    priorities = Priorities({})
    assert priorities.rank("prepare[1].align", tool()) is priorities.rank("prepare[2].align", tool())


@pytest.mark.parametrize("priority", ["high", None, 1.5, True])
def test_a_hint_that_is_no_number_is_an_error(priority):
    with pytest.raises(DocumentError, match="align: the Priority hint"):
        Priorities({}).rank("align", tool(hint(priority)))
