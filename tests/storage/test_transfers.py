"""Files of a call on their way to its pod and back, with the pod's programs as processes of this machine."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cwl_prefect.backends.kubernetes.manifest.job import StepPod
from cwl_prefect.backends.kubernetes.objects import KubernetesObject
from cwl_prefect.backends.kubernetes.transfers import program
from cwl_prefect.backends.kubernetes.transfers.bucket import Bucket, blob
from cwl_prefect.backends.kubernetes.transfers.containers import FETCH_NAME, TransferContainers
from cwl_prefect.backends.kubernetes.transfers.transfers import Transfers, open_transfers
from cwl_prefect.backends.kubernetes.transfers.trees import INLINE, Entry, Tree, encoded, sha1_of
from cwl_prefect.errors import BackendError, StorageError, UsageError
from cwl_prefect.model.job import Mount
from cwl_prefect.settings import Settings
from cwl_prefect.storage.blobs import Blobs
from tests.calls import job
from tests.object_store import ObjectStore

LARGE = b"large" * INLINE
CALL, KEPT = "cwl-call", "programs/1"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path.resolve() / "runs"


@pytest.fixture
def transfers(object_store: ObjectStore, runs: Path) -> Transfers:
    containers = TransferContainers(
        url=object_store.url("ws"), image="python:3-slim", secret="keys", launcher="busybox"
    )
    return Transfers(containers=containers, runs=runs)


@pytest.fixture
def bucket(object_store: ObjectStore) -> Bucket:
    return Bucket(object_store.url("ws"), object_store.environment)


@pytest.fixture
def mounts(tmp_path: Path, runs: Path) -> list[Mount]:
    """An input from elsewhere, and the output directory of a call with a literal."""
    given, out = tmp_path.resolve() / "given", runs / "run/step/out"
    given.write_bytes(LARGE)
    out.mkdir(parents=True)
    (out / "literal").write_text("text")
    return [Mount(source=given, target="/in/given"), Mount(source=out, target="/out", writable=True)]


def paths(volume: Path) -> list[str]:
    """Give where the pipe and the program are on a volume, and where the store keeps the program."""
    return [str(volume), str(volume / "own/alive"), str(volume / "own/box"), KEPT]


def fetched(bucket: Bucket, volume: Path) -> None:
    """Fetch the inputs of the call, where another container has brought the program."""
    (volume / "own").mkdir(parents=True)
    (volume / "own/box").write_text("program")
    program.fetch(bucket, f"calls/{CALL}", *paths(volume))


def stored(bucket: Bucket, volume: Path) -> None:
    """Upload what is on a volume, as if the tool had ended."""
    (volume / "own/alive").unlink()
    (volume / "own/alive").touch()
    program.store(bucket, f"calls/{CALL}", *paths(volume))


def on(volume: Path, path: Path) -> Path:
    """Give the place of a path of this machine on a pod's volume."""
    return volume / path.relative_to("/")


async def test_files_go_to_the_pod_and_come_back(
    transfers: Transfers, bucket: Bucket, mounts: list[Mount], tmp_path: Path
) -> None:
    volume, (given, out) = tmp_path / "volume", (mount.source for mount in mounts)
    size_mib = await transfers.send(CALL, mounts)
    fetched(bucket, volume)
    assert size_mib == pytest.approx((len(LARGE) + 4) / 2**20)
    assert on(volume, given).read_bytes() == LARGE
    assert on(volume, out / "literal").read_text() == "text"
    assert (volume / "own/alive").is_fifo()

    on(volume, out / "literal").unlink()
    on(volume, out / "made").write_bytes(LARGE[::-1])
    on(volume, out / "small").write_text("s")
    on(volume, out / "link").symlink_to("made")
    stored(bucket, volume)
    assert await transfers.receive(CALL)

    assert sorted(path.name for path in out.iterdir()) == ["link", "made", "small"]
    assert (out / "made").read_bytes() == (out / "link").read_bytes() == LARGE[::-1]
    assert [path.name for path in out.parent.iterdir()] == ["out"]


async def made_large(transfers: Transfers, bucket: Bucket, mounts: list[Mount], volume: Path) -> None:
    """Send a call to its pod, let it make a large file there, and store what it left."""
    await transfers.send(CALL, mounts)
    fetched(bucket, volume)
    on(volume, mounts[1].source / "made").write_bytes(LARGE[::-1])
    stored(bucket, volume)


async def test_each_content_goes_up_once(
    transfers: Transfers, bucket: Bucket, object_store: ObjectStore, mounts: list[Mount], tmp_path: Path
) -> None:
    await made_large(transfers, bucket, mounts, tmp_path / "volume")
    await transfers.receive(CALL)
    known = {f"ws/{blob(sha1_of(str(place)))}" for place in (mounts[0].source, mounts[1].source / "made")}
    assert set(object_store.keys("ws/blobs")) == known
    for key in known:
        object_store.put(key, b"not again")

    await transfers.send("next", [Mount(source=mounts[1].source / "made", target="/in/made"), mounts[0]])

    assert {object_store.content(key) for key in known} == {b"not again"}


async def test_a_link_that_a_tool_made_is_not_followed_for_the_next(
    transfers: Transfers, bucket: Bucket, mounts: list[Mount], tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("mine")
    (mounts[1].source / "link").symlink_to(tmp_path / "secret")
    await transfers.send(CALL, [Mount(source=mounts[1].source, target="/in")])
    fetched(bucket, tmp_path / "volume")
    assert on(tmp_path / "volume", mounts[1].source / "link").readlink() == tmp_path / "secret"


async def test_the_lists_of_a_call_are_removed_and_nothing_else(
    transfers: Transfers, object_store: ObjectStore, mounts: list[Mount]
) -> None:
    await transfers.send(CALL, mounts)
    await transfers.forget(CALL)
    await transfers.forget(CALL)
    assert [key.split("/")[1] for key in object_store.keys("ws")] == ["blobs"]


async def test_lists_that_cannot_be_removed_are_told_and_keep_nobody(
    transfers: Transfers, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def refuse(*_: object) -> None:
        raise StorageError("s3://data/ws cannot be removed: no right")

    monkeypatch.setattr(Blobs, "remove", refuse)
    await transfers.forget(CALL)
    assert caplog.messages == [f"calls/{CALL} stays in the object store: s3://data/ws cannot be removed: no right"]


async def test_what_an_earlier_try_left_is_replaced(
    transfers: Transfers, bucket: Bucket, object_store: ObjectStore, mounts: list[Mount], tmp_path: Path
) -> None:
    await transfers.send(CALL, mounts)
    assert not await transfers.receive(CALL)
    object_store.put(f"ws/calls/{CALL}/outputs.json", b"[]")
    await made_large(transfers, bucket, mounts, tmp_path / "volume")
    assert await transfers.receive(CALL)
    assert (mounts[1].source / "made").exists()


@pytest.mark.parametrize("place", ["elsewhere", "runs/link/out", "runs/../elsewhere"])
async def test_what_the_store_says_is_written_nowhere_else(
    transfers: Transfers, object_store: ObjectStore, tmp_path: Path, runs: Path, place: str
) -> None:
    (tmp_path / "elsewhere").mkdir()
    runs.mkdir()
    (runs / "link").symlink_to(tmp_path / "elsewhere")
    entries = (Entry(path="", kind="directory", mode=0o755), Entry(path="a", kind="file", content=""))
    tree = Tree(path=f"{tmp_path.resolve()}/{place}".lstrip("/"), writable=True, entries=entries)
    object_store.put(f"ws/calls/{CALL}/outputs.json", encoded([tree]))
    with pytest.raises(BackendError, match="is no place of a run"):
        await transfers.receive(CALL)
    assert list((tmp_path / "elsewhere").iterdir()) == []


async def test_what_does_not_come_whole_changes_nothing(
    transfers: Transfers, bucket: Bucket, object_store: ObjectStore, mounts: list[Mount], tmp_path: Path
) -> None:
    await made_large(transfers, bucket, mounts, tmp_path / "volume")
    made = blob(sha1_of(str(on(tmp_path / "volume", mounts[1].source / "made"))))
    object_store.put(f"ws/{made}", b"damaged")
    with pytest.raises(BackendError, match=f"s3://data/ws/{made} cannot be read: it is damaged"):
        await transfers.receive(CALL)
    assert [path.name for path in mounts[1].source.iterdir()] == ["literal"]
    assert [path.name for path in mounts[1].source.parent.iterdir()] == ["out"]


def test_the_program_needs_nothing_but_python(bucket: Bucket, object_store: ObjectStore, tmp_path: Path) -> None:
    tree = Tree(path="work/out", writable=True, entries=(Entry(path="", kind="directory", mode=0o755),))
    bucket.write(f"calls/{CALL}/inputs.json", encoded([tree]))
    bucket.write(f"{KEPT}/{os.uname().machine}", b"program")
    own = tmp_path / "volume/own"
    containers = TransferContainers(url=object_store.url("ws"), image="x", secret=None, launcher="x")

    def command(container: KubernetesObject) -> list[str]:
        """Give the command of a container, in places of this machine."""
        words = [str(word) for word in container["command"]]  # type: ignore[union-attr]
        return [sys.executable, *words[1:-4], *paths(tmp_path / "volume")]

    environment = object_store.environment
    fetching, storing = (command(make(f"calls/{CALL}")) for make in (containers.fetching, containers.storing))
    subprocess.run(fetching, env=environment, check=True, timeout=60)
    assert (own / "box").read_bytes() == b"program"

    uploading = subprocess.Popen(storing, env=environment)
    with (own / "alive").open("wb"):  # until here it waits for who opens it, then for the end
        (tmp_path / "volume/work/out/made").write_text("made")

    assert uploading.wait(60) == 0
    assert b"made" in bucket.read(f"calls/{CALL}/outputs.json")


@pytest.mark.parametrize(
    ("environment", "code", "said"),
    [
        pytest.param({}, 1, "s3://data/ws: the pod has no AWS_ACCESS_KEY_ID", id="no-key"),
        pytest.param(None, program.LACKING, f"{KEPT}/{os.uname().machine} is not in the store yet", id="no-program"),
    ],
)
def test_the_program_says_why_it_failed(
    object_store: ObjectStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str] | None,
    code: int,
    said: str,
) -> None:
    monkeypatch.setattr(program, "_TERMINATION_LOG", str(tmp_path / "said"))
    monkeypatch.setattr(program.os, "environ", object_store.environment if environment is None else environment)
    assert program.main(["fetch", object_store.url("ws"), "calls/a", *paths(tmp_path)]) == code
    assert (tmp_path / "said").read_text() == said


async def test_pods_bring_the_launcher_until_the_store_has_it_for_each_kind_of_node(
    transfers: Transfers, bucket: Bucket, object_store: ObjectStore, mounts: list[Mount], tmp_path: Path
) -> None:
    step = StepPod(job=job(tmp_path), image="x", entry_point=(), mounts=(), stdin=None, user="1:1",
                   init_containers=[{"name": "bringing"}])  # fmt: skip

    def names() -> list[object]:
        return [container["name"] for container in transfers.placed(step, CALL).init_containers]

    await transfers.send(CALL, mounts)
    assert names() == ["bringing", FETCH_NAME]
    program._bring(bucket, str(mounts[0].source), f"{transfers.containers.kept}/one")  # as a pod that has brought it
    await transfers.send(CALL, mounts)
    assert names() == [FETCH_NAME]

    with pytest.raises(program.LackingError):
        program._bring(bucket, str(tmp_path / "missing"), f"{transfers.containers.kept}/other")
    transfers.doubt()  # as after each call that was lost
    await transfers.send(CALL, mounts)
    assert names() == ["bringing", FETCH_NAME]
    program._bring(bucket, str(mounts[0].source), f"{transfers.containers.kept}/other")
    await transfers.send(CALL, mounts)
    assert names() == [FETCH_NAME]
    assert object_store.content(f"ws/{transfers.containers.kept}/other") == LARGE


async def test_what_somebody_removed_is_uploaded_for_the_next_try(
    transfers: Transfers, bucket: Bucket, object_store: ObjectStore, mounts: list[Mount], tmp_path: Path
) -> None:
    await transfers.send(CALL, mounts)
    removed = f"ws/{blob(sha1_of(str(mounts[0].source)))}"
    object_store.remove(removed)
    with pytest.raises(program.LackingError, match="404"):
        fetched(bucket, tmp_path / "volume")
    transfers.doubt()
    await transfers.send(CALL, mounts)
    assert object_store.content(removed) == LARGE


def test_credentials_are_named_and_addresses_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"AWS_ENDPOINT_URL": "http://minio:9000", "AWS_SECRET_ACCESS_KEY": "s3cret"})
    containers = TransferContainers(url="s3://data/ws", image="python:3-slim", secret="keys", launcher="box")
    container = containers.fetching("calls/a")
    assert container["env"] == [{"name": "AWS_ENDPOINT_URL", "value": "http://minio:9000"}]
    assert container["envFrom"] == [{"secretRef": {"name": "keys"}}]
    assert "s3cret" not in str(container)
    assert replace(containers, secret=None).storing("calls/a")["envFrom"] == []


@pytest.mark.parametrize("url", ["/a/directory", "gs://bucket/ws", "https://host/ws", "s3://bucket/ws?sig=s3cret"])
def test_only_stores_of_s3_s_kind_are_taken(url: str) -> None:
    with pytest.raises(UsageError, match="no place in an object store") as raised:
        open_transfers(Settings(workspaces=url))
    assert "s3cret" not in str(raised.value)


def test_without_the_setting_there_are_none() -> None:
    assert open_transfers(Settings()) is None
