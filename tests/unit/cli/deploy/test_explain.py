"""How explanations are written."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from cwl_prefect.backends.job_template.provenance import fields
from cwl_prefect.cli.deploy.explain import yaml_text
from cwl_prefect.flows.explain.job import Explanation

TEXTS = st.one_of(
    st.text(max_size=12), st.sampled_from(["yes", "1e3", "a: b", "a # b", "- a", "null", "/a/b:ro", "{{ x }}"])
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=10,
)


def explanation(configuration: dict[str, Any], origins: dict[Any, str]) -> Explanation:
    return Explanation(
        call="align[0]",
        runs_as="docker",
        pool=None,
        configuration=configuration,
        origins=origins,
        overrides=(),
        unknown={},
        notes=(),
    )


@given(st.dictionaries(TEXTS, VALUES, min_size=1, max_size=3), st.data())
def test_the_yaml_holds_the_configuration(configuration: dict[str, Any], data: st.DataObject) -> None:
    origin = st.sampled_from(["pool template", "run"])
    origins = {path: data.draw(origin) for path, _, _ in fields(configuration)}
    written = yaml_text(explanation(configuration, origins))
    assert YAML(typ="safe", pure=True).load(written)["configuration"] == configuration


def test_a_comment_stands_where_the_origin_changes() -> None:
    configuration = {"command": ["a", "b"], "env": {"A": "1", "B": "2"}}
    origins = {("command",): "run", ("env", "A"): "run", ("env", "B"): "pool template"}
    lines = [" ".join(line.split()) for line in yaml_text(explanation(configuration, origins)).splitlines()]
    assert lines[-6:] == [
        "command: # run",
        "- a",
        "- b",
        "env:",
        'A: "1" # run',
        'B: "2" # pool template',
    ]
