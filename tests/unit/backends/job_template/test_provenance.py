"""Where fields came from, and what is hidden."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cwl_prefect.backends.job_template.provenance import (
    HIDDEN,
    fields,
    origins,
    whole_blocks,
    without_blocks,
    without_secrets,
)

SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)),
    max_leaves=12,
)
CONFIGURATIONS = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


@given(st.lists(CONFIGURATIONS, min_size=1, max_size=4))
def test_every_field_of_the_last_has_an_origin_from_which_on_it_never_changed(stages: list[Any]) -> None:
    found = origins([(str(number), each) for number, each in enumerate(stages)])
    assert list(found) == [path for path, _, _ in fields(stages[-1])]
    for path, origin in found.items():
        for later in stages[int(origin) :]:
            assert at(later, path) == at(stages[-1], path)


@given(CONFIGURATIONS, st.integers(1, 3))
def test_what_never_changes_comes_from_the_beginning(configuration: Any, count: int) -> None:
    stages = [(str(number), configuration) for number in range(count)]
    assert set(origins(stages).values()) <= {"0"}


def test_an_entry_of_a_list_keeps_its_origin_when_others_come_before_it() -> None:
    first = {"env": [{"name": "A", "value": "1"}]}
    then = {"env": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}]}
    assert origins([("template", first), ("step", then)]) == {
        ("env", 0, "name"): "step",
        ("env", 0, "value"): "step",
        ("env", 1, "name"): "template",
        ("env", 1, "value"): "template",
    }


def test_a_value_that_was_changed_and_changed_back_comes_from_the_change_back() -> None:
    stages: list[tuple[str, Any]] = [("a", {"x": 1}), ("b", {"x": 2}), ("c", {"x": 1})]
    assert origins(stages) == {("x",): "c"}


class TestSecrets:
    def test_credentials_are_hidden_wherever_they_stand(self) -> None:
        hidden = without_secrets(
            {
                "environment": {"DB_PASSWORD": "x", "HOME": "/x"},
                "env": [
                    {"name": "API_KEY", "value": "x"},
                    {"name": "PATH", "value": "/bin"},
                    {"name": "API_KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                ],
                "tokens": ["x"],
                "EMPTY_TOKEN": "",
            }
        )
        assert hidden == {
            "environment": {"DB_PASSWORD": HIDDEN, "HOME": "/x"},
            "env": [
                {"name": "API_KEY", "value": HIDDEN},
                {"name": "PATH", "value": "/bin"},
                {"name": "API_KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
            ],
            "tokens": [HIDDEN],
            "EMPTY_TOKEN": "",
        }

    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            ("{{ prefect.blocks.secret.pass }}", "(Prefect block secret.pass)"),
            ("a {{prefect.blocks.secret.b.c}} d", "a (Prefect block secret.b.c) d"),
            ("{{ prefect.variables.x }}", "{{ prefect.variables.x }}"),
            ({"$ref": {"block_document_id": "1"}}, None),
            ({"$ref": "#/definitions/x"}, {"$ref": "#/definitions/x"}),
        ],
    )
    def test_blocks_are_named_instead_of_read(self, value: Any, shown: Any) -> None:
        assert without_blocks({"x": [value]}) == {"x": [shown]}

    def test_variables_that_are_blocks_are_found(self) -> None:
        variables: dict[str, Any] = {"a": " {{ prefect.blocks.x.y }} ", "b": "x {{ prefect.blocks.x.y }}", "c": 1}
        assert whole_blocks(variables) == {"a"}

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("https://me:pa@ss@host:8080/a?b#c", f"https://{HIDDEN}@host:8080/a?b#c"),
            ("fetch ftp://token@host x s3://k:s@bucket/", f"fetch ftp://{HIDDEN}@host x s3://{HIDDEN}@bucket/"),
            ("https://host/a@b", "https://host/a@b"),
            ("me@host", "me@host"),
        ],
        ids=["password", "several", "in the path", "no URL"],
    )
    def test_logins_in_urls_are_hidden_wherever_they_stand(self, text: str, shown: str) -> None:
        made = {"env": [{"name": "PROXY", "value": text}], "command": ["sh", text]}
        assert without_secrets(made) == {"env": [{"name": "PROXY", "value": shown}], "command": ["sh", shown]}
