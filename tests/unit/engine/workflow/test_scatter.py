import pickle
from itertools import product
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cwl_prefect.engine.workflow.scatter import expand, gather
from cwl_prefect.errors import InputError
from cwl_prefect.model.plan import Scatter, ScatterMethod

DOT, NESTED, FLAT = ScatterMethod.DOTPRODUCT, ScatterMethod.NESTED_CROSSPRODUCT, ScatterMethod.FLAT_CROSSPRODUCT
ARRAYS = st.lists(st.integers(), max_size=4)


def over(*ports: str, method: ScatterMethod = DOT) -> Scatter:
    return Scatter(ports=ports, method=method)


def told(expansion, *ports):
    return [tuple(element.values[port] for port in ports) for element in expansion.elements]


def run(expansion, *ports):
    return gather(expansion, [{"out": list(row)} for row in told(expansion, *ports)], ["out"])["out"]


def test_one_port():
    expansion = expand(over("a"), {"a": [1, 2], "other": "x"})
    assert [element.index for element in expansion.elements] == [(0,), (1,)]
    assert told(expansion, "a", "other") == [(1, "x"), (2, "x")]


def test_dotproduct_pairs_elements():
    assert told(expand(over("a", "b"), {"a": [1, 2], "b": [3, 4]}), "a", "b") == [(1, 3), (2, 4)]


def test_nested_crossproduct_nests_outputs():
    expansion = expand(over("a", "b", method=NESTED), {"a": [1, 2], "b": [3, 4, 5]})
    assert expansion.shape == (2, 3)
    assert expansion.elements[5].index == (1, 2)
    assert run(expansion, "a", "b") == [[[1, 3], [1, 4], [1, 5]], [[2, 3], [2, 4], [2, 5]]]


def test_flat_crossproduct_varies_the_last_port_fastest():
    expansion = expand(over("a", "b", method=FLAT), {"a": [1, 2], "b": [3, 4]})
    assert told(expansion, "a", "b") == [(1, 3), (1, 4), (2, 3), (2, 4)]
    assert [element.index for element in expansion.elements] == [(0,), (1,), (2,), (3,)]


@pytest.mark.parametrize(
    ("method", "arrays", "expected"),
    [
        pytest.param(DOT, ([], []), [], id="dotproduct"),
        pytest.param(FLAT, ([1, 2], []), [], id="flat-inner-empty"),
        pytest.param(NESTED, ([1, 2], []), [[], []], id="nested-inner-empty"),
        pytest.param(NESTED, ([], [1, 2]), [], id="nested-outer-empty"),
        pytest.param(NESTED, ([1], [1, 2], []), [[[], []]], id="nested-innermost-of-three-empty"),
    ],
)
def test_empty_arrays_give_empty_outputs_of_the_same_depth(method, arrays, expected):
    ports = tuple("abc"[: len(arrays)])
    expansion = expand(over(*ports, method=method), dict(zip(ports, arrays, strict=True)))
    assert len(expansion.elements) == 0
    assert gather(expansion, [], ["x", "y"]) == {"x": expected, "y": expected}


def test_skipped_calls_give_null():
    expansion = expand(over("a"), {"a": [1, 2, 3]})
    assert gather(expansion, [{"x": 1}, None, {}], ["x"]) == {"x": [1, None, None]}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        pytest.param({"a": "text"}, "'a' is scattered, so it needs an array, but it is a string", id="a-string"),
        pytest.param({"a": None}, "it is null", id="null"),
        pytest.param({}, "it is null", id="absent"),
    ],
)
def test_refuses_what_is_no_array(values, words):
    with pytest.raises(InputError, match=words):
        expand(over("a"), values)


def test_refuses_a_dotproduct_of_unequal_lengths():
    with pytest.raises(InputError, match="a: 1, b: 2"):
        expand(over("a", "b"), {"a": [1], "b": [1, 2]})


def test_gather_demands_one_output_for_each_call():
    with pytest.raises(ValueError, match="2 calls, but 1 outputs"):
        gather(expand(over("a"), {"a": [1, 2]}), [None], ["x"])


def test_elements_are_a_sequence():
    elements = expand(over("a"), {"a": [1, 2, 3]}).elements
    assert elements[-1].values["a"] == 3
    assert [element.index for element in elements[1:]] == [(1,), (2,)]
    with pytest.raises(IndexError):
        elements[3]
    assert pickle.loads(pickle.dumps(elements))[2].index == (2,)


def test_a_scatter_shares_its_values():
    big = {"class": "File", "contents": "x" * 1_000_000}
    expansion = expand(over("a"), {"a": list(range(100)), "big": big})
    assert all(element.values["big"] is big for element in expansion.elements)


@given(st.lists(ARRAYS, min_size=1, max_size=3))
def test_crossproducts_are_the_product_of_the_arrays(arrays):
    ports = tuple("abc"[: len(arrays)])
    values = dict(zip(ports, arrays, strict=True))
    flat = expand(over(*ports, method=FLAT), values)
    nested = expand(over(*ports, method=NESTED), values)
    assert told(flat, *ports) == told(nested, *ports) == list(product(*arrays))
    assert nested.shape == tuple(map(len, arrays))
    assert flat.shape == (prod(map(len, arrays)),)
    for element in nested.elements:
        assert [element.values[port] for port in ports] == [arrays[n][at] for n, at in enumerate(element.index)]


@given(st.lists(st.tuples(st.integers(), st.integers()), max_size=5))
def test_dotproduct_gathers_what_it_scattered(pairs):
    expansion = expand(over("a", "b"), {"a": [a for a, _ in pairs], "b": [b for _, b in pairs]})
    outputs = [dict(element.values) for element in expansion.elements]
    assert gather(expansion, outputs, ["a", "b"]) == {"a": [a for a, _ in pairs], "b": [b for _, b in pairs]}


@given(st.lists(st.integers(0, 3), min_size=1, max_size=3))
def test_nested_outputs_have_the_shape(lengths):
    ports = tuple("abc"[: len(lengths)])
    expansion = expand(over(*ports, method=NESTED), {p: [0] * n for p, n in zip(ports, lengths, strict=True)})
    value = gather(expansion, [{"x": element.index} for element in expansion.elements], ["x"])["x"]

    def check(value, index):
        if len(index) == len(lengths):
            assert value == index
            return
        assert len(value) == lengths[len(index)]
        for at, inner in enumerate(value):
            check(inner, (*index, at))

    check(value, ())
