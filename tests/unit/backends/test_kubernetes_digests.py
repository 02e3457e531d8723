"""Whether the image that a pod ran is the one that its tag stands for."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from cwl_prefect.backends.base import UnidentifiedError
from cwl_prefect.backends.kubernetes_digests import ImageDigests, ran_digest
from cwl_prefect.backends.kubernetes_images import StepImage, StepImages, registry_lookup
from cwl_prefect.backends.kubernetes_launcher import Streams, launched
from cwl_prefect.backends.kubernetes_manifest import KubernetesDefaults
from cwl_prefect.backends.kubernetes_registry import Registries
from cwl_prefect.model.job import ContainerJob, DockerImage
from tests.unit.backends.fake_registry import FakeRegistry

NAME = "registry.example/team/tool:1"
IMAGE = DockerImage(pull=NAME)
OTHER = f"sha256:{'b' * 64}"
JOB = ContainerJob(
    job_id="j",
    name="align",
    image=IMAGE,
    command=("sh", "-c", "echo $HOME"),
    env={},
    mounts=(),
    workdir="/",
    stdin=None,
    stdout=Path("/o"),
    stderr=Path("/e"),
)


class Site:
    """A registry, an engine that may have images, and what asks both."""

    def __init__(self) -> None:
        self.registry = FakeRegistry()
        self.here: StepImage | None = None
        registries = Registries({}, transport=self.registry.transport, patience_s=0.2)
        images = StepImages(lambda _: self.here, registry_lookup(registries))
        self.digests = ImageDigests(registries, images)

    async def doubt(self, ran: str | None) -> str | None:
        return await self.digests.doubt(IMAGE, ran)


@pytest.fixture
def site() -> Site:
    return Site()


def pod(image_id: str, words: tuple[str, ...] = JOB.command) -> dict:
    command = launched([word.replace("$", "$$") for word in words], Streams(stdin="i", stdout="o", stderr="e"))
    # Sidecars may stand first.
    states = [{"name": "proxy", "imageID": f"x@{OTHER}"}, {"name": "tool", "imageID": image_id}]
    return {
        "spec": {"containers": [{"name": "proxy"}, {"name": "tool", "command": command}]},
        "status": {"containerStatuses": states},
    }


async def test_a_tag_is_asked_for_once_however_many_calls_there_are(site: Site) -> None:
    digest = site.registry.put("1")
    assert {await site.digests.identify(IMAGE) for _ in range(5)} == {digest}
    assert len(site.registry.asked) == 1


async def test_a_digest_in_the_name_needs_no_registry(site: Site) -> None:
    pinned = DockerImage(pull=f"registry.example/team/tool@{OTHER}")
    assert await site.digests.identify(pinned) == OTHER
    assert site.registry.asked == []


@pytest.mark.parametrize("stated", [None, (), ("tini", "--")], ids=["nobody", "none", "words"])
async def test_a_call_whose_entry_point_nobody_tells_is_not_cached_even_under_a_digest(
    site: Site, stated: tuple[str, ...] | None
) -> None:
    pinned = DockerImage(pull=f"registry.example/team/tool@{OTHER}")
    ran = await site.digests.ran(replace(JOB, image=pinned), pod(f"x@{OTHER}", (*(stated or ()), *JOB.command)), stated)
    doubt = await site.digests.doubt(pinned, ran)
    assert (ran, doubt is None) == ((None, False) if stated is None else (OTHER, True))
    assert doubt is None or "did not surely run with its entry point; give the step the job variable" in doubt


async def test_an_image_that_is_named_by_its_digest_ran_with_the_entry_point_that_its_registry_tells(
    site: Site,
) -> None:
    digest = site.registry.put("1", entry_point=["tini", "--"])
    pinned = DockerImage(pull=f"registry.example/team/tool@{digest}")
    job = replace(JOB, image=pinned)
    whole = await site.digests.ran(job, pod(f"x@{digest}", ("tini", "--", *JOB.command)))
    assert (whole, await site.digests.doubt(pinned, whole)) == (digest, None)
    assert await site.digests.ran(job, pod(f"x@{digest}")) is None


@pytest.mark.parametrize(
    ("image", "told"),
    [
        pytest.param(IMAGE, "has no such image", id="only-on-nodes"),
        pytest.param(DockerImage(image_id="tool:1"), "no registry has it", id="no-dockerPull"),
        pytest.param(DockerImage(pull=NAME, load="/tool.tar"), "no registry has it", id="loaded"),
        pytest.param(DockerImage(pull=f"{NAME}@{OTHER}", file="FROM x"), "no registry has it", id="built"),
    ],
)
async def test_why_an_image_has_no_digest_is_logged_once(
    site: Site, caplog: pytest.LogCaptureFixture, image: DockerImage, told: str
) -> None:
    for _ in range(3):
        with pytest.raises(UnidentifiedError, match=told):
            await site.digests.identify(image)
    (line,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert line.startswith(f"calls in the image {image.name} are not cached: ")
    assert told in line
    assert "push it" in line


class TestDoubt:
    """What the pod ran against what the tag stands for."""

    @pytest.mark.parametrize("platforms", [(), ("amd64", "arm64")], ids=["manifest", "index"])
    async def test_there_is_none_where_the_pod_ran_the_resolved_image(
        self, site: Site, platforms: tuple[str, ...]
    ) -> None:
        digest = site.registry.put("1", platforms=platforms)
        await site.digests.identify(IMAGE)
        assert await site.doubt(digest) is None

    async def test_there_is_none_where_the_pod_tells_the_platforms_own_digest(self, site: Site) -> None:
        index = site.registry.put("1", platforms=("amd64", "arm64"))
        children = [digest for digest, (_, kind) in site.registry.content.items() if "manifest" in kind]
        assert await site.digests.identify(IMAGE) == index
        assert [await site.doubt(child) for child in children] == [None, None]

    async def test_there_is_none_where_the_engine_knows_the_image_by_several_digests(self, site: Site) -> None:
        digest = site.registry.put("1")
        site.here = StepImage(name=NAME, digests=frozenset({digest, OTHER}))
        await site.digests.identify(IMAGE)
        assert await site.doubt(OTHER) is None

    async def test_a_node_that_ran_an_older_image_is_told_once(
        self, site: Site, caplog: pytest.LogCaptureFixture
    ) -> None:
        digest = site.registry.put("1")
        await site.digests.identify(IMAGE)
        for ran in (OTHER, OTHER, f"sha256:{'c' * 64}"):
            doubt = await site.doubt(ran)
            assert doubt is not None
            assert f"its tag stands for {digest[:19]} in the registry, and a node ran {ran[:19]}" in doubt
        (line,) = [record.getMessage() for record in caplog.records]
        assert "imagePullPolicy" in line

    async def test_a_tag_that_moved_after_it_was_resolved_counts_for_nothing(self, site: Site) -> None:
        site.registry.put("1")
        await site.digests.identify(IMAGE)
        moved = site.registry.put("1", entry_point=["python"])
        doubt = await site.doubt(moved)
        assert doubt is not None
        assert "a node ran" in doubt

    @pytest.mark.parametrize(
        ("known", "told"),
        [
            pytest.param(frozenset({OTHER}), "its entry point was read from another image", id="older-here"),
            pytest.param(frozenset(), "its entry point cannot be found", id="unknown"),
        ],
    )
    async def test_an_entry_point_of_another_image_counts_for_nothing(
        self, site: Site, known: frozenset[str], told: str
    ) -> None:
        digest = site.registry.put("1")
        site.here = StepImage(name=NAME, digests=known)
        await site.digests.identify(IMAGE)
        assert told in (await site.doubt(digest) or "")

    async def test_a_pod_that_does_not_tell_its_image_counts_for_nothing(self, site: Site) -> None:
        site.registry.put("1")
        await site.digests.identify(IMAGE)
        assert "does not tell which image ran" in (await site.doubt(None) or "")


@pytest.mark.parametrize(
    ("image_id", "digest"),
    [
        pytest.param(f"docker-pullable://localhost:5000/tool@{OTHER}", OTHER, id="docker"),
        pytest.param(f"docker://{OTHER}", OTHER, id="docker-local"),
        pytest.param(f"docker.io/library/tool@{OTHER}", OTHER, id="containerd"),
        pytest.param(OTHER, OTHER, id="containerd-local"),
        pytest.param("b" * 64, OTHER, id="cri-o"),
        pytest.param("registry.example/team/tool:1", None, id="tag"),
        pytest.param(f"x@sha256:{'b' * 63}", None, id="too-short"),
        pytest.param(f"x@sha256:b{'b' * 64}", None, id="too-long"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_a_pods_image_is_read_as_each_engine_tells_it(image_id: str, digest: str | None) -> None:
    assert ran_digest(pod(image_id)) == digest


async def test_only_a_pod_with_the_images_entry_point_tells_an_image(site: Site) -> None:
    digest = site.registry.put("1", entry_point=["tini", "--"])
    whole = pod(f"x@{digest}", ("tini", "--", *JOB.command))
    assert await site.digests.ran(JOB, whole) is None  # nobody asked for its digest
    await site.digests.identify(IMAGE)
    assert await site.digests.ran(JOB, whole) == digest
    assert await site.digests.ran(JOB, pod(f"x@{digest}")) is None
    assert await site.digests.ran(JOB, None) is None
    assert await site.digests.ran(replace(JOB, image=None), whole) is None


def test_a_node_selector_tells_the_processor() -> None:
    selecting = {"spec": {"template": {"spec": {"nodeSelector": {"kubernetes.io/arch": "arm64"}}}}}
    assert KubernetesDefaults(namespace="lab", manifest=selecting).architecture == "arm64"
    assert KubernetesDefaults(namespace="lab", manifest={}).architecture == ""
