"""The words that an image puts before a command, and what is said where nobody tells them."""

import logging
from typing import Any

import pytest

from cwl_prefect.backends.job_variables import JobVariables, Layer, Origin, check_job_variables, packaged_template
from cwl_prefect.backends.kubernetes_images import Lookup, StepImage, StepImages, stated_entry_point
from cwl_prefect.backends.kubernetes_manifest import kubernetes_defaults
from cwl_prefect.backends.kubernetes_registry import Described
from cwl_prefect.errors import BackendError, ImageError
from cwl_prefect.model.job import DockerImage

IMAGE = DockerImage(pull="private/tool:1")


def images(described: Described | None) -> StepImages:
    async def lookup(_: str) -> Described | None:
        return described

    told: Lookup = lookup
    return StepImages(lambda _: None, told)


def variables(**members: Any) -> JobVariables:
    layers = (Layer(origin=Origin.RUN, variables={"cwl": members}),)
    return JobVariables(template=packaged_template("kubernetes"), layers=layers)


async def test_a_command_runs_without_an_entry_point_that_nobody_tells_and_one_warning_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    found = images(None)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert found.entry_point(await found.get(IMAGE), ["x"]) == ()
    assert len(caplog.records) == 1
    for word in ("private/tool:1", "is not known", "run without it", "job variable entry_point"):
        assert word in caplog.text


async def test_a_call_without_a_command_needs_an_entry_point_that_is_known() -> None:
    found = images(None)
    with pytest.raises(ImageError, match="no command, and the entry point of its image private/tool:1") as told:
        found.entry_point(await found.get(IMAGE), [])
    assert "job variable entry_point" in str(told.value.hint)


async def test_an_image_without_an_entry_point_is_known_to_have_none(caplog: pytest.LogCaptureFixture) -> None:
    found = images(Described(entry_point=(), digests=frozenset()))
    assert found.entry_point(await found.get(IMAGE), []) == ()
    assert found.entry_point(StepImage(name="x", entry_point=("/echo",)), []) == ("/echo",)
    assert caplog.records == []


async def test_a_stated_entry_point_is_of_its_steps_alone_and_counts_for_the_cache() -> None:
    given = variables(steps={"align": {"entry_point": ["/entry.sh"]}, "sort": {"entry_point": []}})
    check_job_variables(given, pool_type="kubernetes", steps=["align", "sort", "other"])
    found = {name: await kubernetes_defaults(given.for_step(name)) for name in ("align", "sort", "other")}
    assert [each.entry_point for each in found.values()] == [("/entry.sh",), (), None]
    assert len({each.environment_digest for each in found.values()}) == 3


@pytest.mark.parametrize("wrong", ["/entry.sh", [1], {}])
def test_an_entry_point_that_is_no_list_of_words_is_told_with_who_gave_it(wrong: object) -> None:
    given = variables(steps={"align": {"entry_point": wrong}})
    with pytest.raises(BackendError, match=r"step override 'align': .* entry_point must be a list of words") as told:
        stated_entry_point(given.for_step("align"))
    assert '["/entry.sh"]' in str(told.value.hint)
