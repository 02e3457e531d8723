"""Getting images: what is done for each field of DockerRequirement."""

import http.server
import io
import tarfile
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cwl_prefect.backends.docker.descriptions import ImageDescription
from cwl_prefect.backends.docker.engine import DockerEngine
from cwl_prefect.backends.docker.images import Images, PullPolicy
from cwl_prefect.backends.docker.registry_login import RegistryLogin
from cwl_prefect.backends.naming import BUILT_LABEL
from cwl_prefect.errors import ImageError
from cwl_prefect.model.job import DockerImage
from tests.unit.backends.stub_engine import StubEngine


@dataclass
class FakeEngine:
    """An engine that knows images by name; archives hold one image named as their text."""

    here: set[str] = field(default_factory=set)
    registry: set[str] = field(default_factory=set)
    built: set[str] = field(default_factory=set)
    done: list[str] = field(default_factory=list)

    async def image(self, name: str) -> ImageDescription | None:
        if name not in self.here:
            return None
        labels = {BUILT_LABEL: "x"} if name in self.built else {}
        return ImageDescription.model_validate({"Id": f"sha256:{name}", "Name": name, "Config": {"Labels": labels}})

    async def pull(self, name: str, *, login: RegistryLogin | None) -> None:
        self.done.append(f"pull {name}")
        if name not in self.registry:
            raise ImageError(f"cannot pull image {name}")
        self.here.add(name)

    async def load(self, archive: Path) -> tuple[str, ...]:
        name = archive.read_text()
        self.done.append(f"load {name}")
        self.here.add(name)
        return (name,) if name else ()

    async def import_(self, archive: Path, name: str) -> None:
        self.done.append(f"import {archive.read_text()} as {name}")
        self.here.add(name)

    async def build(self, dockerfile: str, name: str, *, network: bool) -> None:
        if "apt-get" in dockerfile and not network:
            raise ImageError("cannot build image: Temporary failure resolving")
        self.done.append("build")
        self.here.add(name)
        self.built.add(name)

    async def tag(self, name: str, other: str) -> None:
        self.done.append(f"tag {other}")
        self.here.add(other)


async def found(image: DockerImage, engine: FakeEngine, policy: PullPolicy = PullPolicy.IF_NOT_PRESENT) -> str:
    """Name of what an engine has for an image."""
    return (await Images(engine, policy=policy).get(image)).name


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "my image.tar"
    path.write_text("tool:1")
    return path


class TestPull:
    async def test_an_image_that_is_here_is_not_pulled(self) -> None:
        engine = FakeEngine(here={"tool:1"})
        assert await found(DockerImage(pull="tool:1"), engine) == "tool:1"
        assert engine.done == []

    async def test_an_image_that_is_here_by_its_id_is_not_pulled(self) -> None:
        engine = FakeEngine(here={"mine"})
        assert await found(DockerImage(pull="tool:1", image_id="mine"), engine) == "mine"
        assert engine.done == []

    async def test_another_is_pulled(self) -> None:
        engine = FakeEngine(registry={"tool:1"})
        assert await found(DockerImage(pull="tool:1"), engine) == "tool:1"
        assert engine.done == ["pull tool:1"]

    async def test_what_was_pulled_is_taken_if_its_id_stays_unknown(self) -> None:
        engine = FakeEngine(registry={"tool:1"})
        assert await found(DockerImage(pull="tool:1", image_id="other"), engine) == "tool:1"

    @pytest.mark.parametrize(
        ("policy", "here", "done"),
        [
            pytest.param(PullPolicy.ALWAYS, True, ["pull tool:1"], id="always"),
            pytest.param(PullPolicy.IF_NOT_PRESENT, True, [], id="if-not-present"),
            pytest.param(PullPolicy.NEVER, True, [], id="never"),
            pytest.param(PullPolicy.IF_POSSIBLE, False, ["pull tool:1"], id="if-possible"),
        ],
    )
    async def test_the_policy_is_kept(self, policy: PullPolicy, here: bool, done: list[str]) -> None:
        engine = FakeEngine(here={"tool:1"} if here else set(), registry={"tool:1"})
        assert await found(DockerImage(pull="tool:1"), engine, policy) == "tool:1"
        assert engine.done == done

    async def test_never_means_never(self) -> None:
        with pytest.raises(ImageError, match="Never"):
            await found(DockerImage(pull="tool:1"), FakeEngine(registry={"tool:1"}), PullPolicy.NEVER)

    async def test_if_possible_still_needs_an_image(self) -> None:
        with pytest.raises(ImageError, match="cannot pull"):
            await found(DockerImage(pull="tool:1"), FakeEngine(), PullPolicy.IF_POSSIBLE)

    async def test_an_unknown_id_alone_is_an_error(self) -> None:
        with pytest.raises(ImageError, match="mine is not here"):
            await found(DockerImage(image_id="mine"), FakeEngine())


class TestOtherSources:
    async def test_an_archive_is_loaded(self, archive: Path) -> None:
        engine = FakeEngine()
        assert await found(DockerImage(load=str(archive)), engine) == "tool:1"

    async def test_an_archive_may_be_a_file_url(self, archive: Path) -> None:
        assert await found(DockerImage(load=archive.as_uri()), FakeEngine()) == "tool:1"

    async def test_an_archive_is_not_loaded_where_its_image_is_here(self, archive: Path) -> None:
        engine = FakeEngine(here={"tool:1"})
        assert await found(DockerImage(load=str(archive), image_id="tool:1"), engine) == "tool:1"
        assert engine.done == []

    async def test_an_archive_without_an_image_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "empty").write_text("")
        with pytest.raises(ImageError, match="holds no image"):
            await found(DockerImage(load=str(tmp_path / "empty")), FakeEngine())

    async def test_a_file_tree_is_imported(self, archive: Path) -> None:
        engine = FakeEngine()
        assert await found(DockerImage(import_=str(archive), image_id="mine:1"), engine) == "mine:1"
        assert engine.done == ["import tool:1 as mine:1"]

    async def test_a_file_tree_without_a_name_gets_one(self, archive: Path) -> None:
        name = await found(DockerImage(import_=str(archive)), FakeEngine())
        assert name.startswith("cwl-prefect/imported:")

    async def test_a_dockerfile_is_built_and_tagged_where_nothing_else_has_its_name(self) -> None:
        engine = FakeEngine()
        name = await found(DockerImage(file="FROM x", image_id="mine:1"), engine)
        assert name.startswith("cwl-prefect/built:")
        assert engine.done == ["build", "tag mine:1"]

    async def test_an_image_that_was_built_here_is_built_anew_under_its_name(self) -> None:
        engine = FakeEngine(here={"mine:1"}, built={"mine:1"})
        await found(DockerImage(file="FROM x", image_id="mine:1"), engine)
        assert engine.done == ["build", "tag mine:1"]

    async def test_a_dockerfile_never_takes_the_name_of_an_image_that_was_not_built_here(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        engine = FakeEngine(here={"ubuntu:22.04"})
        name = await found(DockerImage(file="FROM x", image_id="ubuntu:22.04"), engine)
        assert name.startswith("cwl-prefect/built:")
        assert engine.done == ["build"]
        assert "ubuntu:22.04 stays what it is" in caplog.text

    async def test_a_build_has_a_network_only_where_it_is_allowed(self) -> None:
        needy = DockerImage(file="FROM x\nRUN apt-get install y")
        with pytest.raises(ImageError) as caught:
            await Images(FakeEngine()).get(needy)
        assert "CWL_PREFECT_DOCKER_BUILD_NETWORK" in (caught.value.hint or "")
        assert await Images(FakeEngine(), build_network=True).get(needy)

    async def test_equal_dockerfiles_get_equal_names(self) -> None:
        first = await found(DockerImage(file="FROM x"), FakeEngine())
        again = await found(DockerImage(file="FROM x"), FakeEngine())
        assert first == again != await found(DockerImage(file="FROM y"), FakeEngine())


class Archives(http.server.BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/image.tar" else 404)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"tool:1")


@pytest.fixture
def website() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Archives)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class TestDownloads:
    async def test_an_archive_on_the_web_is_loaded(self, website: str) -> None:
        assert await found(DockerImage(load=f"{website}/image.tar"), FakeEngine()) == "tool:1"

    async def test_one_that_cannot_be_downloaded_is_an_error(self, website: str) -> None:
        with pytest.raises(ImageError, match=r"cannot download image .*404"):
            await found(DockerImage(load=f"{website}/other.tar"), FakeEngine())


class TestEngineCalls:
    """The calls themselves, to an engine that keeps no images."""

    @pytest.fixture
    async def docker(self, engine: StubEngine) -> AsyncIterator[DockerEngine]:
        docker = await DockerEngine.connect()
        yield docker
        await docker.close()

    async def test_load_gives_the_names(self, docker: DockerEngine, archive: Path) -> None:
        assert await docker.load(archive) == ("tool:1",)

    async def test_load_of_a_missing_file_is_an_error(self, docker: DockerEngine, tmp_path: Path) -> None:
        with pytest.raises(ImageError, match="No such file"):
            await docker.load(tmp_path / "nothing")

    async def test_import_names_the_image(self, docker: DockerEngine, engine: StubEngine, tmp_path: Path) -> None:
        path = tmp_path / "tree.tar"
        with tarfile.open(path, "w") as tar:
            tar.addfile(tarfile.TarInfo("empty"), io.BytesIO())
        await docker.import_(path, "mine:1")
        assert await docker.image("mine:1") is not None

    async def test_build_names_the_image(self, docker: DockerEngine) -> None:
        await docker.build("FROM x", "mine:1", network=False)
        assert await docker.image("mine:1") is not None

    async def test_a_failed_build_is_an_error(self, docker: DockerEngine) -> None:
        with pytest.raises(ImageError, match=r"cannot build image mine:1: .*non-zero code"):
            await docker.build("FROM x\nRUN false", "mine:1", network=False)

    async def test_a_refused_pull_is_an_error_with_a_hint(self, docker: DockerEngine, engine: StubEngine) -> None:
        engine.refuse("images/create", 500, 'Get "https://registry": dial tcp: lookup registry: no such host')
        with pytest.raises(ImageError, match="check the network"):
            await docker.pull("tool:1", login=None)

    async def test_an_engine_that_goes_away_is_named(
        self, docker: DockerEngine, engine: StubEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        engine.refuse("images/create", 503, "unavailable")
        with pytest.raises(ImageError, match="unavailable"):
            await docker.pull("tool:1", login=None)
