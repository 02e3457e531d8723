"""Which image pods run by which name, the words that it puts before a command, and what is said where nobody knows."""

import logging
from typing import Any

import pytest

from cwl_prefect.backends.base import UnidentifiedError
from cwl_prefect.backends.job_template.job_variables import (
    JobVariables,
    Layer,
    Origin,
    check_job_variables,
    packaged_template,
)
from cwl_prefect.backends.kubernetes.images.images import LocalImage, StepImage, StepImages, stated_entry_point
from cwl_prefect.backends.kubernetes.images.registry import Registries
from cwl_prefect.backends.kubernetes.manifest.defaults import KubernetesDefaults, kubernetes_defaults
from cwl_prefect.errors import BackendError, ImageError
from cwl_prefect.model.job import DockerImage
from tests.unit.backends.fake_registry import FakeRegistry

NAME = "registry.example/team/tool:1"
IMAGE = DockerImage(pull=NAME)
OTHER = f"sha256:{'b' * 64}"
WORDS = ["tini", "--"]


def by_name(digest: str) -> str:
    return f"registry.example/team/tool@{digest}"


class Site:
    """A registry, an engine that may have images, and what asks both."""

    def __init__(self, **options: bool) -> None:
        self.registry = FakeRegistry()
        self.here: LocalImage | None = None
        registries = Registries({}, transport=self.registry.transport, patience_s=0.2)
        self.images = StepImages(registries, self._inspect, **options)

    async def _inspect(self, image: DockerImage) -> LocalImage | None:
        return self.here


@pytest.fixture
def site() -> Site:
    return Site()


async def test_pods_run_by_digest_what_a_tag_stands_for_when_the_first_call_asks(site: Site) -> None:
    digest = site.registry.put("1", entry_point=WORDS)
    found = {await site.images.get(IMAGE) for _ in range(5)}
    site.registry.put("1", entry_point=["moved"])
    found.add(await site.images.get(IMAGE))
    assert found == {StepImage(name=by_name(digest), digest=digest, entry_point=("tini", "--"))}
    assert site.images.identified(IMAGE, found.pop(), None) == digest
    assert site.registry.paths("HEAD") == ["/v2/team/tool/manifests/1"]


async def test_a_digest_in_the_name_needs_no_registry_where_the_entry_point_is_stated(site: Site) -> None:
    site.registry.status = 403
    pinned = DockerImage(pull=by_name(OTHER))
    found = await site.images.get(pinned)
    assert found == StepImage(name=by_name(OTHER), digest=OTHER)
    assert site.images.identified(pinned, found, ()) == OTHER
    with pytest.raises(UnidentifiedError, match="nobody tells its entry point; give the step the job variable"):
        site.images.identified(pinned, found, None)


@pytest.mark.parametrize("same", [True, False], ids=["same-image", "older-image"])
async def test_the_engine_of_this_machine_tells_the_entry_point_of_the_very_image_alone(site: Site, same: bool) -> None:
    digest = site.registry.put("1", entry_point=WORDS)
    site.here = LocalImage(name=NAME, entry_point=("here",), digests=frozenset({digest if same else OTHER}))
    found = await site.images.get(IMAGE)
    assert found.entry_point == (("here",) if same else ("tini", "--"))
    assert bool(site.registry.paths("GET")) is not same


NOT_BY_DIGEST = [
    pytest.param(IMAGE, {}, "", "has no such image", id="only-on-nodes"),
    pytest.param(IMAGE, {"by_digest": False}, "", "_BY_DIGEST", id="setting"),
    pytest.param(IMAGE, {}, "Never", "imagePullPolicy: Never", id="nodes-pull-nothing"),
    pytest.param(DockerImage(image_id="tool:1"), {}, "", "no registry has it", id="no-dockerPull"),
    pytest.param(DockerImage(pull=NAME, load="/tool.tar"), {}, "", "no registry has it", id="loaded"),
    pytest.param(DockerImage(pull=by_name(OTHER), file="FROM x"), {}, "", "no registry has it", id="built"),
]


@pytest.mark.parametrize(("image", "options", "policy", "told"), NOT_BY_DIGEST)
async def test_an_image_without_a_digest_runs_as_it_is_named_and_why_it_is_not_cached_is_logged_once(
    caplog: pytest.LogCaptureFixture, image: DockerImage, options: dict[str, bool], policy: str, told: str
) -> None:
    site = Site(**options)
    site.here = LocalImage(name="tool:1", entry_point=("here",), digests=frozenset({OTHER}))
    found = await site.images.get(image, pull_policy=policy)
    assert (found.name, found.digest, found.entry_point) == ("tool:1", None, ("here",))
    for _ in range(3):
        with pytest.raises(UnidentifiedError, match=told):
            site.images.identified(image, found, None)
    (line,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert line.startswith(f"calls in the image {image.name} are not cached: ")
    assert told in line


async def test_an_image_that_runs_by_its_tag_has_the_entry_point_that_its_registry_tells() -> None:
    site = Site(by_digest=False)
    site.registry.put("1", entry_point=WORDS)
    found = await site.images.get(IMAGE)
    assert (found.name, found.entry_point) == (NAME, ("tini", "--"))


async def test_an_image_that_is_to_be_made_takes_an_engine(site: Site) -> None:
    with pytest.raises(ImageError, match="is to be loaded or built, which a cluster cannot do"):
        await site.images.get(DockerImage(load="/tool.tar"))


def variables(**members: Any) -> JobVariables:
    layers = (Layer(origin=Origin.RUN, variables={"cwl": members}),)
    return JobVariables(template=packaged_template("kubernetes"), layers=layers)


async def test_a_command_runs_without_an_entry_point_that_nobody_tells_and_one_warning_says_so(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert site.images.entry_point(await site.images.get(IMAGE), ["x"]) == ()
    assert len(caplog.records) == 1
    for word in (NAME, "is not known", "run without it", "job variable entry_point"):
        assert word in caplog.text


async def test_a_call_without_a_command_needs_an_entry_point_that_is_known(site: Site) -> None:
    with pytest.raises(ImageError, match=f"no command, and the entry point of its image {NAME}") as told:
        site.images.entry_point(await site.images.get(IMAGE), [])
    assert "job variable entry_point" in str(told.value.hint)


async def test_an_image_without_an_entry_point_is_known_to_have_none(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.registry.put("1")
    assert site.images.entry_point(await site.images.get(IMAGE), []) == ()
    assert site.images.entry_point(StepImage(name="x", entry_point=("/echo",)), []) == ("/echo",)
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


def test_a_template_tells_processor_and_pull_policy() -> None:
    pod = {"nodeSelector": {"kubernetes.io/arch": "arm64"}, "containers": [{"imagePullPolicy": "Never"}]}
    stated = KubernetesDefaults(namespace="lab", manifest={"spec": {"template": {"spec": pod}}})
    silent = KubernetesDefaults(namespace="lab", manifest={})
    assert [(each.architecture, each.pull_policy) for each in (stated, silent)] == [("arm64", "Never"), ("", "")]
