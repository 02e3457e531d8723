"""Data in a store that only a block of Prefect has the credentials of, by the command line."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.commandline.driving import CommandLine, assert_refused
from tests.commandline.test_remote_outputs import holding
from tests.object_store import ObjectStore, running_store
from tests.prefect_api import prefect_environment

pytestmark = pytest.mark.server

COUNT = """\
cwlVersion: v1.2
class: CommandLineTool
requirements: {ShellCommandRequirement: {}}
arguments: [{shellQuote: false, valueFrom: "env > seen; wc -c < $(inputs.text.path) > size"}]
inputs: {text: File}
outputs:
  seen: {type: File, outputBinding: {glob: seen}}
  size: {type: File, outputBinding: {glob: size}}
"""
SAVED = """\
import sys
from prefect.filesystems import RemoteFileSystem
endpoint, key, secret = sys.argv[1:]
settings = {"key": key, "secret": secret, "client_kwargs": {"endpoint_url": endpoint, "region_name": "us-east-1"}}
RemoteFileSystem(basepath="s3://data", settings=settings).save("lab")
"""


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    with running_store() as running:
        running.create()
        yield running


def test_only_the_block_has_what_the_store_asks_for(command: CommandLine, store: ObjectStore) -> None:
    store.put("job.yml", b"text: {class: File, path: in/a.txt}")
    store.put("in/a.txt", b"hello")
    command.write("count.cwl", COUNT)
    command("server", "start")
    run = ("run", "--backend", "local", "count.cwl", store.url("job.yml"), "--outdir", store.url("out"))
    nobody = {name: value for name, value in store.environment.items() if "KEY" not in name and "ENDPOINT" not in name}
    with store.closed_to_all_but_one() as (key, secret):
        saving = [sys.executable, "-c", SAVED, store.endpoint, key, secret]
        own = {**command.environment, **prefect_environment(command.home)}
        subprocess.run(saving, env=own, check=True, capture_output=True)

        strangers = {**nobody, "AWS_ENDPOINT_URL": store.endpoint}
        assert_refused(command(*run, environment=strangers), 25, "s3://data/job.yml cannot be read", "credentials")
        wrongly = command(*run, "--storage-block", "lob", environment=nobody)
        assert_refused(wrongly, 2, "no storage block lob", "prefect block ls")

        ended = command(*run, "--storage-block", "lab", environment=nobody)
        named = json.loads(command("runs", "ls", "--json").stdout)[0]["name"]

    assert ended.outputs["size"]["location"] == store.url("out/size")
    assert store.content("out/size").strip() == b"5"
    assert b"AWS" not in store.content("out/seen")
    for text in (key, secret):
        assert text not in ended.stderr + command("runs", "show", named, "--json").stdout
        assert text.encode() not in store.content("out/seen")
        assert holding(command.home, text) == []
