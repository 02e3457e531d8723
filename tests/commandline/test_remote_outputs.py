"""Results that go to an object store: by the command line, killed and resumed."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from cwl_prefect.engine.outputs.publish import MANIFEST
from tests.commandline.driving import CommandLine, Started, assert_refused
from tests.object_store import ObjectStore
from tests.waiting import until

pytestmark = pytest.mark.server

FILES = 200
LARGE = 256  # MiB, which go in parts for a while
SECRET = "bm9ib2R5LWtub3dzLWl0"

MANY = f"""
    cwlVersion: v1.2
    class: CommandLineTool
    requirements:
      ShellCommandRequirement: {{}}
    arguments:
      - shellQuote: false
        valueFrom: >-
          env | grep -c -i aws > seen; mkdir tree; seq {FILES} | while read i; do echo $i > tree/$i; done;
          head -c $(inputs.mebibytes)M /dev/zero > large; echo done > 'two words.txt'
    inputs: {{mebibytes: int}}
    outputs:
      seen: {{type: File, outputBinding: {{glob: seen}}}}
      tree: {{type: Directory, outputBinding: {{glob: tree}}}}
      large: {{type: File, outputBinding: {{glob: large}}}}
      text: {{type: File, outputBinding: {{glob: "two words.txt"}}}}
    successCodes: [0, 1]
    """


def variables(store: ObjectStore) -> dict[str, str]:
    return {**store.environment, "AWS_SECRET_ACCESS_KEY": SECRET}


def started(command: CommandLine, store: ObjectStore, *options: str, mebibytes: int = 1) -> Started:
    command.write("many.cwl", MANY)
    return command.start(
        "run", "--backend", "local", "--outdir", store.url("out"), *options, "many.cwl", "--mebibytes", str(mebibytes),
        environment=variables(store),
    )  # fmt: skip


def assert_delivered(outputs: Mapping[str, object], store: ObjectStore, mebibytes: int = 1) -> None:
    """Demand that all is there, as the output object and the manifest say, and nothing else."""
    assert json.loads(store.content(f"out/{MANIFEST}")) == outputs
    tree = {f"out/tree/{number}" for number in range(1, FILES + 1)}
    assert set(store.keys("out/")) == tree | {f"out/{name}" for name in ("seen", "large", "two words.txt", MANIFEST)}
    large = outputs["large"]
    assert isinstance(large, dict)
    zeros = bytes(mebibytes * 1024 * 1024)
    assert large["size"] == len(zeros)
    assert large["checksum"] == f"sha1${hashlib.sha1(zeros).hexdigest()}"
    assert store.content("out/large") == zeros
    assert store.content("out/tree/7") == b"7\n"


def test_results_go_to_a_url(command: CommandLine, object_store: ObjectStore) -> None:
    ended = started(command, object_store).ended()

    assert_delivered(ended.outputs, object_store)
    assert object_store.content("out/seen") == b"0\n"  # what the tool saw of credentials
    assert f"the results are in {object_store.url('out')}" in ended.stderr
    text = ended.outputs["text"]
    assert isinstance(text, dict)
    assert (text["location"], text["basename"]) == ("s3://data/out/two words.txt", "two words.txt")
    run = json.loads(command("runs", "ls", "--json").stdout)[0]
    assert json.loads(command("runs", "outputs", run["name"]).stdout) == ended.outputs
    shown = json.loads(command("runs", "show", run["name"], "--json").stdout)
    assert shown["outdir"] == object_store.url("out")
    assert holding(command.home, SECRET) == []

    again = started(command, object_store).ended()

    assert_refused(again, 20, "s3://data/out holds the results of another run", "--overwrite")
    assert_delivered(ended.outputs, object_store)


def holding(home: Path, text: str) -> list[Path]:
    """Return the files of a home with a text in them."""
    return [path for path in home.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def test_a_driver_that_is_killed_while_it_uploads_is_resumed(command: CommandLine, object_store: ObjectStore) -> None:
    running = started(command, object_store)
    until(lambda: len(object_store.keys("out/tree/")) >= FILES // 4, timeout_s=120)
    running.kill()
    assert f"out/{MANIFEST}" not in object_store.keys("out/")
    run = next(line for line in json.loads(command("runs", "ls", "--json").stdout) if line.get("resumable"))

    resumed = command("runs", "resume", run["name"], environment=variables(object_store))

    assert_delivered(resumed.outputs, object_store)


@pytest.mark.parametrize("ended", ["resume", "gc"])
def test_what_a_killed_driver_had_uploaded_of_a_large_file_is_taken_back(
    command: CommandLine, object_store: ObjectStore, ended: str
) -> None:
    running = started(command, object_store, mebibytes=LARGE)
    until(lambda: "out/large" in object_store.uploads(), timeout_s=120, pause_s=0.005)
    running.kill()
    assert object_store.uploads() == ["out/large"]
    assert "out/large" not in object_store.keys("out/")

    if ended == "gc":
        collected = command("workspace", "gc", environment=variables(object_store))
        assert "1 unfinished uploads were ended." in collected.stdout
    else:
        run = next(line for line in json.loads(command("runs", "ls", "--json").stdout) if line.get("resumable"))
        resumed = command("runs", "resume", run["name"], environment=variables(object_store))
        assert_delivered(resumed.outputs, object_store, LARGE)
    assert object_store.uploads() == []
