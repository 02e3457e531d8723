"""YAML aliases are counted before anything is made of them."""

import pytest

from cwl_prefect.cwl.loading.aliases import MOST_REPEATED, repeated_too_often


def doubling(levels: int) -> str:
    lines = ["a0: &a0 [1, 1]"]
    lines += [f"a{number}: &a{number} [*a{number - 1}, *a{number - 1}]" for number in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("a: 1", False, id="none"),
        pytest.param("glob: '*.txt'\ncommand: a && *b", False, id="stars-that-are-none"),
        pytest.param("a: &a {b: [1, 2]}\nc: {<<: *a}\nd: *a", False, id="few"),
        pytest.param(doubling(12), False, id="some"),
        pytest.param(doubling(MOST_REPEATED.bit_length() + 1), True, id="too-many"),
        pytest.param("a: &a [*a]", True, id="holds-itself"),
        pytest.param("a: &a [1\nb: *a", False, id="not-yaml"),
        pytest.param("a: &a 1\n---\nb: *a", False, id="unknown-alias"),
    ],
)
def test_aliases_that_stand_for_too_much(text: str, expected: bool) -> None:
    assert repeated_too_often(text) is expected
