import pytest
from hypothesis import given
from hypothesis import strategies as st

from cwl_prefect.engine.workflow.links import merge, merge_incomplete
from cwl_prefect.errors import InputError
from cwl_prefect.model.plan import Link, LinkMerge, PickValue, Source, StepId

SCALARS = st.none() | st.integers() | st.text(max_size=3)
VALUES = SCALARS | st.lists(SCALARS, max_size=4)


def link(count: int, **changes) -> Link:
    sources = tuple(Source(step=StepId(f"s{number}"), port="out") for number in range(count))
    return Link(port="x", sources=sources, **changes)


@pytest.mark.parametrize(
    ("given_link", "values", "expected"),
    [
        pytest.param(link(1), [7], 7, id="lone-source-is-not-merged"),
        pytest.param(link(1, single=False), [7], 7, id="list-of-one-source-is-not-merged"),
        pytest.param(link(1, link_merge=LinkMerge.NESTED, single=False), [7], [7], id="merge_nested-wraps-one"),
        pytest.param(link(1, link_merge=LinkMerge.FLATTENED), [[1, 2]], [1, 2], id="merge_flattened-of-one-array"),
        pytest.param(link(2), [1, [2]], [1, [2]], id="many-sources-are-nested-by-default"),
        pytest.param(link(2, link_merge=LinkMerge.FLATTENED), [1, [2, [3]]], [1, 2, [3]], id="flattens-one-level"),
        pytest.param(link(2, link_merge=LinkMerge.FLATTENED), [None, [None]], [None, None], id="flatten-keeps-nulls"),
        pytest.param(link(0), [], None, id="no-source-is-null"),
        pytest.param(link(0, default=3), [], 3, id="no-source-takes-default"),
        pytest.param(link(1, default=3), [None], 3, id="null-takes-default"),
        pytest.param(link(1, default=3), [0], 0, id="zero-is-no-null"),
        pytest.param(link(2, default=3), [None, None], [None, None], id="merged-nulls-are-an-array"),
        pytest.param(link(2, pick_value=PickValue.FIRST_NON_NULL), [None, 2], 2, id="first_non_null"),
        pytest.param(link(2, pick_value=PickValue.FIRST_NON_NULL), [False, 2], False, id="false-is-non-null"),
        pytest.param(link(2, pick_value=PickValue.THE_ONLY_NON_NULL), [None, 2], 2, id="the_only_non_null"),
        pytest.param(link(2, pick_value=PickValue.ALL_NON_NULL), [None, 2], [2], id="all_non_null"),
        pytest.param(link(2, pick_value=PickValue.ALL_NON_NULL), [None, None], [], id="all_non_null-of-nulls"),
        pytest.param(link(1, pick_value=PickValue.ALL_NON_NULL), [[1, None]], [1], id="pick-from-one-array"),
        pytest.param(link(1, pick_value=PickValue.FIRST_NON_NULL), [4], 4, id="pick-leaves-a-lone-scalar"),
        pytest.param(link(1, pick_value=PickValue.THE_ONLY_NON_NULL), [0], 0, id="the-only-of-a-lone-scalar"),
        pytest.param(link(1, pick_value=PickValue.ALL_NON_NULL), [4], [4], id="all-of-a-lone-scalar-is-a-list-of-one"),
        pytest.param(
            link(1, pick_value=PickValue.ALL_NON_NULL, single=False), [{"a": 1}], [{"a": 1}], id="all-of-a-list-of-one"
        ),
        pytest.param(link(1, pick_value=PickValue.ALL_NON_NULL), [None], [], id="all-of-a-skipped-source-is-empty"),
        pytest.param(
            link(2, link_merge=LinkMerge.FLATTENED, pick_value=PickValue.ALL_NON_NULL),
            [[1, None], None],
            [1],
            id="pick-follows-flatten",
        ),
    ],
)
def test_merges(given_link, values, expected):
    assert merge(given_link, values) == expected


@pytest.mark.parametrize(
    ("pick", "values", "words"),
    [
        pytest.param(PickValue.FIRST_NON_NULL, [None, None], "every source of 'x' is null", id="first-of-none"),
        pytest.param(PickValue.FIRST_NON_NULL, [None], "every source of 'x' is null", id="first-of-one-null"),
        pytest.param(PickValue.THE_ONLY_NON_NULL, [None], "every source of 'x' is null", id="only-of-one-null"),
        pytest.param(PickValue.THE_ONLY_NON_NULL, [None, None], "every source of 'x' is null", id="only-of-none"),
        pytest.param(PickValue.THE_ONLY_NON_NULL, [1, 2], "2 values of 'x' are not null", id="only-of-two"),
    ],
)
def test_refuses_what_pick_value_cannot_take(pick, values, words):
    with pytest.raises(InputError, match=words) as raised:
        merge(link(len(values), pick_value=pick, default=9), values)
    assert "s0/out" in raised.value.message
    assert raised.value.hint


def test_demands_one_value_for_each_source():
    with pytest.raises(ValueError, match="2 sources, not 1"):
        merge(link(2), [1])


@given(st.lists(VALUES, min_size=2, max_size=5))
def test_nested_keeps_every_value_in_order(values):
    assert merge(link(len(values)), values) == values


@given(st.lists(VALUES, min_size=1, max_size=5))
def test_flattened_is_the_concatenation(values):
    expected = [item for value in values for item in (value if isinstance(value, list) else [value])]
    assert merge(link(len(values), link_merge=LinkMerge.FLATTENED), values) == expected


@given(st.lists(SCALARS, min_size=2, max_size=6))
def test_picks_agree_with_each_other(values):
    present = merge(link(len(values), pick_value=PickValue.ALL_NON_NULL), values)
    assert present == [value for value in values if value is not None]
    if present:
        assert merge(link(len(values), pick_value=PickValue.FIRST_NON_NULL), values) == present[0]
    if len(present) == 1:
        assert merge(link(len(values), pick_value=PickValue.THE_ONLY_NON_NULL), values) == present[0]


FLAT = LinkMerge.FLATTENED
ALL, FIRST, ONLY = PickValue.ALL_NON_NULL, PickValue.FIRST_NON_NULL, PickValue.THE_ONLY_NON_NULL


@pytest.mark.parametrize(
    ("given_link", "values", "whole", "expected"),
    [
        pytest.param(link(1), [None], [False], None, id="nothing-of-one"),
        pytest.param(link(1), [[1, None]], [False], [1, None], id="some-of-one-scatter"),
        pytest.param(link(2), [1, None], [True, False], [1, None], id="null-in-its-place"),
        pytest.param(link(2), [None, None], [False, False], None, id="nothing-of-all"),
        pytest.param(link(2, link_merge=FLAT), [[1, None], 2], [False, True], [1, None, 2], id="flattened"),
        pytest.param(link(2, pick_value=ALL), [None, 2], [False, True], [2], id="all-that-there-are"),
        pytest.param(link(1, pick_value=ALL), [[1, None]], [False], [1], id="all-that-a-scatter-gave"),
        pytest.param(link(3, pick_value=FIRST), [None, 2, None], [True, True, False], 2, id="the-first-is-sure"),
        pytest.param(link(2, pick_value=FIRST), [None, 2], [False, True], None, id="the-first-is-not-sure"),
        pytest.param(link(1, pick_value=FIRST), [[None, 2]], [False], None, id="the-first-of-a-scatter-is-not-sure"),
        pytest.param(link(2, pick_value=ONLY), [1, None], [True, False], None, id="the-only-is-not-sure"),
    ],
)
def test_what_is_left_of_an_output_of_which_sources_failed(given_link, values, whole, expected):
    assert merge_incomplete(given_link, values, whole) == expected
