"""Getting images: what is done for each field of DockerRequirement."""

import http.server
import io
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cwl_prefect.backends.docker_engine import DockerEngine, RegistryLogin
from cwl_prefect.backends.images import Images, PullPolicy
from cwl_prefect.errors import ImageError
from cwl_prefect.model.job import DockerImage
from tests.unit.backends.stub_engine import StubEngine


@dataclass
class FakeEngine:
    """An engine that knows images by name; archives hold one image named as their text."""

    here: set[str] = field(default_factory=set)
    registry: set[str] = field(default_factory=set)
    done: list[str] = field(default_factory=list)

    def has_image(self, name: str) -> bool:
        return name in self.here

    def pull(self, name: str, *, login: RegistryLogin | None, stopped: Callable[[], bool]) -> None:
        self.done.append(f"pull {name}")
        if name not in self.registry:
            raise ImageError(f"cannot pull image {name}")
        self.here.add(name)

    def load(self, archive: Path, *, stopped: Callable[[], bool]) -> tuple[str, ...]:
        name = archive.read_text()
        self.done.append(f"load {name}")
        self.here.add(name)
        return (name,) if name else ()

    def import_(self, source: str, name: str) -> None:
        self.done.append(f"import {Path(source).read_text()} as {name}")
        self.here.add(name)

    def build(self, dockerfile: str, name: str, *, stopped: Callable[[], bool]) -> None:
        self.done.append(f"build {name}")
        self.here.add(name)


async def at_once(function: Callable[[], str]) -> str:
    return function()


def images(engine: FakeEngine, policy: PullPolicy = PullPolicy.IF_NOT_PRESENT) -> Images:
    return Images(engine, at_once, policy=policy)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "my image.tar"
    path.write_text("tool:1")
    return path


class TestPull:
    async def test_an_image_that_is_here_is_not_pulled(self) -> None:
        engine = FakeEngine(here={"tool:1"})
        assert await images(engine).get(DockerImage(pull="tool:1")) == "tool:1"
        assert engine.done == []

    async def test_an_image_that_is_here_by_its_id_is_not_pulled(self) -> None:
        engine = FakeEngine(here={"mine"})
        assert await images(engine).get(DockerImage(pull="tool:1", image_id="mine")) == "mine"
        assert engine.done == []

    async def test_another_is_pulled(self) -> None:
        engine = FakeEngine(registry={"tool:1"})
        assert await images(engine).get(DockerImage(pull="tool:1")) == "tool:1"
        assert engine.done == ["pull tool:1"]

    async def test_what_was_pulled_is_taken_if_its_id_stays_unknown(self) -> None:
        engine = FakeEngine(registry={"tool:1"})
        assert await images(engine).get(DockerImage(pull="tool:1", image_id="other")) == "tool:1"

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
        assert await images(engine, policy).get(DockerImage(pull="tool:1")) == "tool:1"
        assert engine.done == done

    async def test_never_means_never(self) -> None:
        with pytest.raises(ImageError, match="Never"):
            await images(FakeEngine(registry={"tool:1"}), PullPolicy.NEVER).get(DockerImage(pull="tool:1"))

    async def test_if_possible_still_needs_an_image(self) -> None:
        with pytest.raises(ImageError, match="cannot pull"):
            await images(FakeEngine(), PullPolicy.IF_POSSIBLE).get(DockerImage(pull="tool:1"))

    async def test_an_unknown_id_alone_is_an_error(self) -> None:
        with pytest.raises(ImageError, match="mine is not here"):
            await images(FakeEngine()).get(DockerImage(image_id="mine"))


class TestOtherSources:
    async def test_an_archive_is_loaded(self, archive: Path) -> None:
        engine = FakeEngine()
        assert await images(engine).get(DockerImage(load=str(archive))) == "tool:1"

    async def test_an_archive_may_be_a_file_url(self, archive: Path) -> None:
        assert await images(FakeEngine()).get(DockerImage(load=archive.as_uri())) == "tool:1"

    async def test_an_archive_is_not_loaded_where_its_image_is_here(self, archive: Path) -> None:
        engine = FakeEngine(here={"tool:1"})
        assert await images(engine).get(DockerImage(load=str(archive), image_id="tool:1")) == "tool:1"
        assert engine.done == []

    async def test_an_archive_without_an_image_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "empty").write_text("")
        with pytest.raises(ImageError, match="holds no image"):
            await images(FakeEngine()).get(DockerImage(load=str(tmp_path / "empty")))

    async def test_a_file_tree_is_imported(self, archive: Path) -> None:
        engine = FakeEngine()
        assert await images(engine).get(DockerImage(import_=str(archive), image_id="mine:1")) == "mine:1"
        assert engine.done == ["import tool:1 as mine:1"]

    async def test_a_file_tree_without_a_name_gets_one(self, archive: Path) -> None:
        name = await images(FakeEngine()).get(DockerImage(import_=str(archive)))
        assert name.startswith("cwl-prefect/imported:")

    async def test_a_dockerfile_is_built_even_where_its_name_is_here(self) -> None:
        engine = FakeEngine(here={"mine:1"})
        assert await images(engine).get(DockerImage(file="FROM x", image_id="mine:1")) == "mine:1"
        assert engine.done == ["build mine:1"]

    async def test_equal_dockerfiles_get_equal_names(self) -> None:
        first = await images(FakeEngine()).get(DockerImage(file="FROM x"))
        again = await images(FakeEngine()).get(DockerImage(file="FROM x"))
        assert first == again != await images(FakeEngine()).get(DockerImage(file="FROM y"))


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
        assert await images(FakeEngine()).get(DockerImage(load=f"{website}/image.tar")) == "tool:1"

    async def test_one_that_cannot_be_downloaded_is_an_error(self, website: str) -> None:
        with pytest.raises(ImageError, match=r"cannot download image .*404"):
            await images(FakeEngine()).get(DockerImage(load=f"{website}/other.tar"))


class TestEngineCalls:
    """The calls themselves, to an engine that keeps no images."""

    @pytest.fixture
    def docker(self, engine: StubEngine) -> Iterator[DockerEngine]:
        docker = DockerEngine.connect()
        yield docker
        docker.close()

    def test_load_gives_the_names(self, docker: DockerEngine, archive: Path) -> None:
        assert docker.load(archive, stopped=lambda: False) == ("tool:1",)

    def test_load_of_a_missing_file_is_an_error(self, docker: DockerEngine, tmp_path: Path) -> None:
        with pytest.raises(ImageError, match="No such file"):
            docker.load(tmp_path / "nothing", stopped=lambda: False)

    def test_import_names_the_image(self, docker: DockerEngine, engine: StubEngine, tmp_path: Path) -> None:
        path = tmp_path / "tree.tar"
        with tarfile.open(path, "w") as tar:
            tar.addfile(tarfile.TarInfo("empty"), io.BytesIO())
        docker.import_(str(path), "mine:1")
        assert docker.has_image("mine:1")

    def test_build_names_the_image(self, docker: DockerEngine) -> None:
        docker.build("FROM x", "mine:1", stopped=lambda: False)
        assert docker.has_image("mine:1")

    def test_a_failed_build_is_an_error(self, docker: DockerEngine) -> None:
        with pytest.raises(ImageError, match=r"cannot build image mine:1: .*non-zero code"):
            docker.build("FROM x\nRUN false", "mine:1", stopped=lambda: False)

    def test_a_refused_pull_is_an_error_with_a_hint(self, docker: DockerEngine, engine: StubEngine) -> None:
        engine.refuse("images/create", 500, 'Get "https://registry": dial tcp: lookup registry: no such host')
        with pytest.raises(ImageError, match="check the network"):
            docker.pull("tool:1", login=None, stopped=lambda: False)

    def test_an_engine_that_goes_away_is_named(
        self, docker: DockerEngine, engine: StubEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        engine.refuse("images/create", 503, "unavailable")
        with pytest.raises(ImageError, match="unavailable"):
            docker.pull("tool:1", login=None, stopped=lambda: False)
