"""Files of deployments: what is read from them, what is refused, and what would change."""

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cwl_prefect.deployments.changes import changes
from cwl_prefect.deployments.declaration import Declaration, declare, located, read_declaration
from cwl_prefect.deployments.schedules import new_schedules
from cwl_prefect.errors import UsageError
from cwl_prefect.model.plan import InputPort
from cwl_prefect.settings import Settings
from tests.plans import workflow

PLAN = workflow(digest="0123456789abcdef", name="greet", inputs=(InputPort(id="letter", type="File"),))


def declared(directory: Path, text: str) -> Declaration:
    (directory / "deployments.yaml").write_text(text)
    return read_declaration(directory / "deployments.yaml", lambda _: PLAN)


def test_a_file_declares_deployments_with_paths_that_are_relative_to_it(tmp_path: Path) -> None:
    asked: list[str] = []
    (tmp_path / "all.yaml").write_text("""
group: lab
deployments:
- document: sub/greet.cwl
  pool: here
  cron: "0 6 * * *"
  interval: [15m, 1h]
  timezone: Europe/Berlin
  parameters: {letter: {class: File, location: a.txt}}
  inputs_file: order.yml
  tags: [daily]
- {document: "https://example.org/greet.cwl", pool: here, name: other}
- {document: "#workflow/github.com/org/repo:v1", pool: here, name: third, inputs_file: "zenodo:1/order.yml"}
""")

    def compiled(document: str) -> Any:
        asked.append(document)
        return PLAN

    first, second, third = read_declaration(tmp_path / "all.yaml", compiled).requests

    assert asked == [
        str(tmp_path / "sub/greet.cwl"),
        "https://example.org/greet.cwl",
        "#workflow/github.com/org/repo:v1",
    ]
    assert (first.name, second.name) == ("cwl", "other")
    assert third.inputs_file == "zenodo:1/order.yml"
    assert first.crons == ("0 6 * * *",)
    assert first.intervals == (timedelta(minutes=15), timedelta(hours=1))
    assert first.parameters == {"letter": {"class": "File", "location": (tmp_path / "a.txt").as_uri()}}
    assert first.inputs_file == str(tmp_path / "order.yml")
    assert first.tags == ("daily", "cwl-prefect-group:lab")
    assert first.reset


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("deployments: [{document: a.cwl}]", "deployments.1.pool: field required", id="no-pool"),
        pytest.param(
            "deployments: [{document: a.cwl, pool: p, crom: x}]", "no such field; did you mean cron", id="misspelt"
        ),
        pytest.param("deployment: []", "did you mean deployments", id="misspelt-list"),
        pytest.param("deployments: [{document: a, pool: p, interval: soon}]", "interval.*no time", id="interval"),
        pytest.param(
            "deployments: [{document: a, pool: p}, {document: a, pool: q}]", "greet/cwl is declared twice", id="twice"
        ),
        pytest.param("{group: a/b, deployments: []}", "name of a group", id="group"),
    ],
)
def test_a_file_that_declares_what_no_deployment_has_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        declared(tmp_path, text)


async def test_what_was_declared_earlier_is_removed_only_by_its_group(tmp_path: Path) -> None:
    done = declare(declared(tmp_path, "deployments: []"), Settings(), dry_run=True, prune=True)
    with pytest.raises(UsageError, match="add a `group`"):
        await anext(done)


BEFORE: dict[str, Any] = {
    "version": "1",
    "parameters": {"a": 1},
    "tags": ["t"],
    "work_pool_name": "p",
    "work_queue_name": "default",
    "job_variables": {},
    "schedules": [],
    "global_concurrency_limit": None,
    "concurrency_options": None,
}
WANTED: dict[str, Any] = {**BEFORE, "work_queue_name": None, "concurrency_limit": None}


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        pytest.param("version", "2", ("workflow",), id="workflow"),
        pytest.param("parameters", {}, ("values of the form",), id="parameters"),
        pytest.param("work_pool_name", "q", ("pool",), id="pool"),
        pytest.param("work_queue_name", "urgent", ("queue",), id="queue"),
        pytest.param("concurrency_limit", 1, ("concurrency limit",), id="limit"),
        pytest.param("job_variables", {"env": {}}, ("job variables",), id="job-variables"),
        pytest.param("schedules", new_schedules(["0 6 * * *"], [], None), ("schedules",), id="schedules"),
        pytest.param("tags", ["t"], (), id="nothing"),
    ],
)
def test_what_would_change_is_named(field: str, value: object, said: tuple[str, ...]) -> None:
    assert changes(SimpleNamespace(**BEFORE), {**WANTED, field: value}) == said  # type: ignore[arg-type]


def test_an_interval_that_began_at_another_moment_is_the_same_schedule() -> None:
    before = SimpleNamespace(**{**BEFORE, "schedules": new_schedules([], [timedelta(hours=1)], None)})
    wanted = {**WANTED, "schedules": new_schedules([], [timedelta(hours=1)], None)}
    assert changes(before, wanted) == ()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("order.yml", "/dir/order.yml"),
        ("/order.yml", "/order.yml"),
        ("s3://bucket/order.yml", "s3://bucket/order.yml"),
        ("file:/order.yml", "file:/order.yml"),
        ("zenodo:1/order.yml", "zenodo:1/order.yml"),
        ("$ref", "$ref"),
    ],
)
def test_what_is_on_this_machine_alone_is_named_by_its_whole_path(source: str, found: str) -> None:
    assert located(source, Path("/dir")) == found
