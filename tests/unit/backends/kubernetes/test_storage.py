"""The volume that driver and steps share."""

from pathlib import Path
from typing import Any

import pytest

from cwl_prefect.backends.kubernetes.launcher import Launcher, restricted
from cwl_prefect.backends.kubernetes.storage import (
    Imports,
    Storage,
    demand_storage,
    mounted_storage,
    parse_volume,
    seen_inside,
    shown_directly,
    stated_storage,
    writable_mount_of,
)
from cwl_prefect.errors import BackendError, UsageError
from cwl_prefect.model.job import Mount


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    (tmp_path / "volume").mkdir()
    return Storage(volume={"hostPath": {"path": "/v"}}, path=tmp_path / "volume")


@pytest.mark.parametrize(
    ("stated", "volume"),
    [
        ("pvc:data", {"persistentVolumeClaim": {"claimName": "data"}}),
        ("hostPath:/data", {"hostPath": {"path": "/data"}}),
        ("nfs:10.0.0.1:/export", {"nfs": {"server": "10.0.0.1", "path": "/export"}}),
    ],
)
def test_a_setting_names_a_volume(stated: str, volume: dict) -> None:
    assert parse_volume(stated) == volume


@pytest.mark.parametrize("stated", ["data", "pvc:", "hostPath:relative", "nfs:server", "nfs:server:export", ""])
def test_what_names_no_volume_is_refused(stated: str) -> None:
    with pytest.raises(UsageError, match="names no volume"):
        parse_volume(stated)


def test_a_host_path_is_seen_here_where_it_is_there(tmp_path: Path) -> None:
    found = stated_storage(f"hostPath:{tmp_path}", None, tmp_path / "home" / "runs")
    assert found is not None
    assert found.path == tmp_path.resolve()


def test_other_volumes_are_seen_where_the_workspaces_are_unless_stated(tmp_path: Path) -> None:
    found = stated_storage("pvc:data", None, tmp_path)
    assert found is not None
    assert found.path == tmp_path.resolve()
    other = stated_storage("pvc:data", Path("/mnt"), tmp_path)
    assert other is not None
    assert other.path == Path("/mnt")
    assert stated_storage(None, None, tmp_path) is None


def test_a_pod_tells_which_volume_the_workspaces_are_on() -> None:
    pod = {
        "volumes": [
            {"name": "a", "persistentVolumeClaim": {"claimName": "outer"}},
            {"name": "b", "nfs": {"server": "s", "path": "/p"}},
            {"name": "c", "emptyDir": {}},
        ],
        "containers": [
            {
                "volumeMounts": [
                    {"name": "a", "mountPath": "/data"},
                    {"name": "b", "mountPath": "/data/runs", "subPath": "of/us"},
                    {"name": "c", "mountPath": "/data/runs/cache"},
                ]
            }
        ],
    }
    found = mounted_storage(pod, Path("/data/runs/cache/x"))
    assert found == Storage(volume={"nfs": {"server": "s", "path": "/p"}}, path=Path("/data/runs"), sub_path="of/us")
    assert mounted_storage(pod, Path("/elsewhere")) is None


def test_a_mount_shows_a_part_of_the_volume(tmp_path: Path) -> None:
    storage = Storage(volume={}, path=tmp_path, sub_path="of/us")
    assert storage.mount(tmp_path / "r" / "out", "/out", writable=True)["subPath"] == "of/us/r/out"
    assert "subPath" not in Storage(volume={}, path=tmp_path).mount(tmp_path, "/all", writable=False)


def test_no_volume_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(BackendError) as found:
        demand_storage(None, tmp_path)
    assert "CWL_PREFECT_KUBERNETES_VOLUME" in str(found.value.hint)


def test_workspaces_must_lie_on_the_volume(storage: Storage, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="do not lie on the shared volume"):
        demand_storage(storage, tmp_path / "elsewhere")
    assert demand_storage(storage, storage.path / "runs") is storage


def test_a_volume_must_be_seen_here(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="not mounted here"):
        demand_storage(Storage(volume={}, path=tmp_path / "gone"), tmp_path)


async def test_inputs_from_elsewhere_are_copied_once(storage: Storage, tmp_path: Path) -> None:
    source = tmp_path / "input.txt"
    source.write_text("text")
    imports = Imports(storage)
    first = await imports.bring(Mount(source=source, target="/in/a"))
    second = await imports.bring(Mount(source=source, target="/in/b"))
    assert first.source == second.source
    assert storage.holds(first.source)
    assert first.source.read_text() == "text"
    await imports.remove()
    assert not first.source.exists()


async def test_inputs_on_the_volume_stay_where_they_are(storage: Storage) -> None:
    mount = Mount(source=storage.path / "x", target="/in/x")
    assert await Imports(storage).bring(mount) is mount


async def test_what_is_changed_in_place_must_lie_on_the_volume(storage: Storage, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="changed in place"):
        await Imports(storage).bring(Mount(source=tmp_path / "x", target="/in/x", writable=True))


def test_a_file_is_seen_through_the_innermost_mount() -> None:
    mounts = [
        Mount(source=Path("/v/out"), target="/out", writable=True),
        Mount(source=Path("/v/out/deep"), target="/deep", writable=True),
    ]
    place = Path("/v/out/deep/x")
    mount = writable_mount_of(place, mounts)
    assert mount is mounts[1]
    assert seen_inside(place, mount) == "/deep/x"
    assert writable_mount_of(Path("/v/logs/x"), mounts) is None


def test_a_volume_of_the_platform_keeps_its_sub_path() -> None:
    mounts = [{"name": "data", "mountPath": "/out", "subPath": "x"}]
    storage = Storage(volume={"hostPath": {"path": "/v"}}, path=Path("/v"))
    assert shown_directly(mounts, storage, {"/out"}) == (mounts, [])


async def test_only_the_first_pod_brings_the_launcher(storage: Storage) -> None:
    launcher = Launcher(storage, "busybox:1.35")
    (first,) = await launcher.init_containers("one")
    assert first["image"] == "busybox:1.35"
    directory = next((storage.path / ".cwl-prefect" / "launcher").iterdir())
    (directory / "busybox").touch()
    assert await launcher.init_containers("two") == []


async def test_another_pod_brings_it_where_the_first_could_not(storage: Storage) -> None:
    launcher = Launcher(storage, "busybox:1.35")
    await launcher.init_containers("one")
    launcher.ended("one")
    assert len(await launcher.init_containers("two")) == 1


@pytest.mark.parametrize(
    ("user", "step", "expected"),
    [
        pytest.param(1000, {}, {"capabilities": {"drop": ["ALL"]}}, id="user"),
        pytest.param(
            1000,
            {"runAsNonRoot": True, "privileged": True, "capabilities": {"add": ["SYS_ADMIN"]}},
            {"capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True},
            id="user-of-a-step-that-may-do-more",
        ),
        pytest.param(0, {"runAsNonRoot": True, "runAsUser": 1000}, {}, id="root-who-writes-for-a-user"),
        pytest.param(0, {"capabilities": {"drop": ["ALL"]}}, {"capabilities": {"drop": ["ALL"]}}, id="root-as-stated"),
    ],
)
def test_the_launcher_s_container_has_the_restrictions_that_it_can_bear(
    user: int, step: dict[str, Any], expected: dict[str, Any]
) -> None:
    found = restricted({"name": "launcher"}, {"runAsUser": user}, step)
    always = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True}
    assert found == {"name": "launcher", "securityContext": {**always, **expected}}
