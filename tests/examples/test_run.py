"""Every example through the command line, against what tests.yml says that it gives."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cwltest.compare import compare

from tests.commands import BIN, command_environment
from tests.examples.test_listed import EXAMPLES, entries
from tests.object_store import running_store

pytestmark = pytest.mark.server

TIME_LIMIT_S = 180


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Commands share one home, and so one server."""
    yield from command_environment(tmp_path_factory.mktemp("examples"), standby_s=300)


def ran(*command: object, environment: dict[str, str], directory: Path) -> subprocess.CompletedProcess[str]:
    """Run a command that ends well."""
    done = subprocess.run(
        command,  # type: ignore[arg-type]
        env=environment,
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def cases() -> Iterator[object]:
    for entry in entries():
        marks = [pytest.mark.docker] if "docker" in entry["tags"] else []  # type: ignore[operator]
        yield pytest.param(entry, id=str(entry["id"]), marks=marks)


@pytest.mark.parametrize("entry", list(cases()))
def test_gives_what_it_promises(entry: dict[str, object], environment: dict[str, str], tmp_path: Path) -> None:
    done = ran(
        BIN / "cwl-prefect", "run", "--outdir", tmp_path / "out", EXAMPLES / entry["tool"], EXAMPLES / entry["job"],
        environment=environment, directory=tmp_path,
    )  # fmt: skip

    compare(entry["output"], json.loads(done.stdout))
    assert "Traceback" not in done.stderr


def test_examples_run_by_their_first_line(environment: dict[str, str], tmp_path: Path) -> None:
    script = EXAMPLES / "hello" / "hello.cwl"
    first = script.read_text("utf-8").splitlines()[0]

    command = (*first.removeprefix("#!").split(), script, "--message", "by itself")
    ran(*command, environment=environment, directory=tmp_path)

    assert (tmp_path / "greeting.txt").read_text("utf-8") == "by itself\n"


def test_the_demo_needs_no_container_and_no_node(environment: dict[str, str], tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("awk", "sort"):
        (tools / name).symlink_to(
            next(path for path in map(Path, ("/usr/bin", "/bin")) if (path / name).exists()) / name
        )
    (tools / "python3").symlink_to(sys.executable)

    done = ran(
        BIN / "cwl-prefect", "run", "--backend", "local", "--outdir", tmp_path / "out",
        EXAMPLES / "vegetation/vegetation.cwl", EXAMPLES / "vegetation/vegetation.yml",
        environment=environment | {"PATH": str(tools)}, directory=tmp_path,
    )  # fmt: skip

    assert json.loads(done.stdout)["greenest_scene"] == "2024-07"


def test_an_application_package_takes_a_catalog_of_a_store_and_gives_one(
    environment: dict[str, str], tmp_path: Path
) -> None:
    data = EXAMPLES / "water/data"
    with running_store() as store:
        store.create()
        for path in data.rglob("*.*"):
            store.put(f"scenes/{path.relative_to(data)}", path.read_bytes())
        done = ran(
            BIN / "cwl-prefect", "run", "--stage-in", "stac", "--assets", "green,nir", "--stage-out", "stac",
            "--outdir", store.url("results"), EXAMPLES / "water/water.cwl",
            "--scene", store.url("scenes/catalog.json"),
            environment=environment | store.environment, directory=tmp_path,
        )  # fmt: skip

        assert json.loads(done.stdout) == json.loads(store.content("results/cwl-prefect-outputs.json"))
        contents = {path: store.content(f"results/water/{path}") for path in PACKAGED}
    documents = {path: json.loads(content) for path, content in contents.items() if path.endswith(".json")}
    collection, item = documents["collection.json"], documents["river-2024-07/river-2024-07.json"]
    links = {(link["rel"], link["href"]) for document in documents.values() for link in document["links"]}
    assert {href.removeprefix(store.url("results/water/")) for _, href in links} == PACKAGED - {
        "river-2024-07/index.csv"
    }
    assert ("child", store.url("results/water/collection.json")) in links
    assert item["assets"]["index"]["href"] == store.url("results/water/river-2024-07/index.csv")
    assert (item["collection"], item["properties"]["water:share"]) == (collection["id"], 0.24)
    assert collection["extent"]["spatial"]["bbox"] == [item["bbox"]]


PACKAGED = {"catalog.json", "collection.json", "river-2024-07/river-2024-07.json", "river-2024-07/index.csv"}
