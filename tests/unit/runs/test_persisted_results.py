import json
import logging
from types import SimpleNamespace
from uuid import UUID

import fsspec
import pytest
from prefect import State
from prefect.client.schemas.objects import StateType
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings

from cwl_prefect.runs import persisted_results
from cwl_prefect.runs.persisted_results import remove_results

RUN = UUID(int=7)
KEY, OTHER = "a" * 32, "b" * 32


class Api:
    """Knows states of a run, and a block that its results are in."""

    def __init__(self, *keys, block=None):
        self.block = block
        block_id = None if block is None else str(UUID(int=1))
        data = [{"storage_key": key, "storage_block_id": block_id, "serializer": {"type": "json"}} for key in keys]
        answered = [{"type": "RUNNING"}, *({"type": "FAILED", "data": each} for each in data)]
        self.states = State.model_validate_list(json.loads(json.dumps(answered)))

    async def read_flow_run_states(self, run_id):
        assert run_id == RUN
        return self.states

    async def read_block_document(self, block_id):
        kind, base = self.block
        return SimpleNamespace(block_type_name=kind, name="results", data={"basepath": base, "settings": {}})


@pytest.fixture
def storage(tmp_path):
    directory = tmp_path / "storage"
    directory.mkdir()
    for key in (KEY, OTHER):
        (directory / key).write_text("{}")
    with temporary_settings({PREFECT_LOCAL_STORAGE_PATH: directory}):
        yield directory


async def test_results_of_the_run_go_and_others_stay(storage, caplog):
    await remove_results(Api(f"{storage}/{KEY}"), RUN)
    assert [path.name for path in storage.iterdir()] == [OTHER]
    await remove_results(Api(f"{storage}/{KEY}"), RUN)  # it is gone already
    assert not caplog.records


async def test_results_in_a_block_of_files_go(tmp_path, storage):
    other = tmp_path / "elsewhere"
    other.mkdir()
    (other / KEY).write_text("{}")
    await remove_results(Api(KEY, block=("Local File System", str(other))), RUN)
    assert list(other.iterdir()) == []
    assert len(list(storage.iterdir())) == 2


async def test_results_in_a_block_of_a_store_go(monkeypatch, caplog):
    monkeypatch.setattr(persisted_results, "REMOTE_SCHEMES", {"memory"})
    store = fsspec.filesystem("memory")
    store.pipe({f"/results/{KEY}": b"{}", f"/results/{OTHER}": b"{}"})
    await remove_results(Api(KEY, block=("Remote File System", "memory://results")), RUN)
    assert store.ls("/results", detail=False) == [f"/results/{OTHER}"]
    assert not caplog.records


@pytest.mark.parametrize(
    ("key", "block"),
    [
        ("{tmp}/notes.txt", None),
        ("{tmp}/" + KEY, None),
        ("{storage}/../" + KEY, None),
        (KEY, None),
        ("notes.txt", ("Local File System", "{tmp}")),
        ("../" + KEY, ("Local File System", "{storage}")),
        (KEY, ("Remote File System", "file://{tmp}")),
        (KEY, ("S3 Bucket", "s3://bucket")),
    ],
)
async def test_what_an_api_names_otherwise_is_told_and_not_touched(tmp_path, storage, caplog, key, block):
    for name in ("notes.txt", KEY):
        (tmp_path / name).write_text("mine")
    known = {"tmp": tmp_path, "storage": storage}
    named = None if block is None else (block[0], block[1].format(**known))
    with caplog.at_level(logging.WARNING):
        await remove_results(Api(key.format(**known), block=named), RUN)
    assert {path.name for path in tmp_path.iterdir()} == {"notes.txt", KEY, "storage"}
    assert len(list(storage.iterdir())) == 2
    assert "remove it there" in caplog.text


async def test_a_link_is_not_followed(tmp_path, storage, caplog):
    (tmp_path / "mine").write_text("mine")
    (storage / KEY).unlink()
    (storage / KEY).symlink_to(tmp_path / "mine")
    await remove_results(Api(f"{storage}/{KEY}"), RUN)
    assert (tmp_path / "mine").read_text() == "mine"


def test_states_without_results_name_none():
    assert (
        persisted_results._persisted([State(type=StateType.FAILED), State(type=StateType.COMPLETED, data=1)]) == set()
    )
