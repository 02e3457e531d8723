"""Files beside a document travel inside its deployment."""

import base64
import gzip
import json
import os
import tarfile
import zlib
from io import BytesIO
from pathlib import Path

import pytest

from cwl_prefect.errors import DocumentError
from cwl_prefect.flows.deployment.bundle import MOST_BYTES, Bundle
from cwl_prefect.flows.deployment.pull_step import pack, unpack, unpacked
from cwl_prefect.flows.deployment.reference import Deployed
from cwl_prefect.model.plan import InputPort, WorkflowPlan
from tests.plans import step, tool, workflow


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CWL_PREFECT_HOME", str(tmp_path / "home"))


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """The directory of the document."""
    made = tmp_path / "a project"
    made.mkdir()
    return made


def file(path: Path, kind: str = "File") -> dict:
    return {"class": kind, "location": path.as_uri()}


def linked(path: Path) -> Path:
    path.symlink_to("/etc/hostname")
    return path


def naming(beside: Path, value: object) -> WorkflowPlan:
    """A workflow with an input, and a tool within, that have a value as default."""
    port = InputPort(id="given", type="Any", default=value)
    document = {"inputs": [{"id": "given", "type": "Any", "default": value}]}
    inner = step("one", run=tool(inputs=(port,), document=document))
    return workflow(inner, inputs=(port,), origin=(beside / "a.cwl").as_uri())


def arrived(plan: WorkflowPlan) -> Deployed:
    """The workflow as a worker finds it."""
    return unpacked(Path(unpack(pack(plan), carried=Bundle.read(plan).packed())["directory"]))


def paths(deployed: Deployed) -> list[Path]:
    """Where its default is looked for: as an input, in a tool's document, and where its form's default is given."""
    tool_plan = deployed.plan.steps[0].run
    values = [
        deployed.plan.inputs[0].default,
        tool_plan.document["inputs"][0]["default"],
        *deployed.order({"given": None}).values(),
    ]
    return [Path(value["location"].removeprefix("file://").replace("%20", " ")) for value in values]


def test_a_file_that_the_worker_does_not_have_is_found_with_its_name_bytes_and_mode(beside: Path) -> None:
    script = beside / "a script.awk"
    script.write_bytes(b"\xff{print}\r\n")
    script.chmod(0o755)
    plan = naming(beside, file(script))
    carried = Bundle.read(plan).packed()
    script.unlink()

    found = paths(unpacked(Path(unpack(pack(plan), carried=carried)["directory"])))

    assert found[0] == found[1] != script
    assert (found[0].name, found[0].read_bytes()) == ("a script.awk", b"\xff{print}\r\n")
    assert os.access(found[0], os.X_OK)


def test_what_the_form_gives_is_found_too(beside: Path) -> None:
    (beside / "x").write_text("x")
    plan = naming(beside, None)
    other = naming(beside, [file(beside / "x")])
    carried = Bundle.read(other).packed()
    (beside / "x").unlink()
    deployed = unpacked(Path(unpack(pack(plan), carried=carried)["directory"]))
    order = deployed.order({"given": [file(beside / "x"), file(beside / "y")]})
    assert [item["location"] == file(beside / "y")["location"] for item in order["given"]] == [False, True]
    assert Path(order["given"][0]["location"].removeprefix("file://")).read_text() == "x"


def test_a_file_that_is_the_same_here_stays_beside_its_siblings(beside: Path) -> None:
    (beside / "x").write_text("x")
    assert paths(arrived(naming(beside, file(beside / "x"))))[0] == beside / "x"


def test_a_file_that_was_changed_since_is_the_deployed_one(beside: Path) -> None:
    (beside / "x").write_text("deployed")
    plan = naming(beside, file(beside / "x"))
    carried = Bundle.read(plan).packed()
    (beside / "x").write_text("later")
    deployed = unpacked(Path(unpack(pack(plan), carried=carried)["directory"]))
    assert paths(deployed)[0].read_text() == "deployed"


def test_a_directory_comes_with_all_that_is_in_it(beside: Path) -> None:
    (beside / "data/deep/empty").mkdir(parents=True)
    (beside / "data/deep/x").write_text("x")
    plan = naming(beside, file(beside / "data", "Directory"))
    carried = Bundle.read(plan).packed()
    (beside / "data").rename(beside / "gone")
    place = paths(unpacked(Path(unpack(pack(plan), carried=carried)["directory"])))[0]
    assert sorted(str(path.relative_to(place)) for path in place.rglob("*")) == ["deep", "deep/empty", "deep/x"]


def test_secondary_files_and_files_of_one_name_are_kept_apart(beside: Path) -> None:
    (beside / "a").mkdir()
    (beside / "b").mkdir()
    (beside / "a/x").write_text("a")
    (beside / "b/x").write_text("b")
    carried = Bundle.read(naming(beside, file(beside / "a/x") | {"secondaryFiles": [file(beside / "b/x")]}))
    assert [location[-3:] for location in carried.locations] == ["a/x", "b/x"]
    beside.rename(beside.with_name("gone"))
    carried.lay(beside.parent)
    laid = carried.places(beside.parent).values()
    assert [Path(location.removeprefix("file://")).read_text() for location in laid] == ["a", "b"]


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda root: (root / "secret").write_text("s") and root / "secret", id="above the document"),
        pytest.param(lambda root: root / "a project/none", id="missing"),
        pytest.param(lambda root: root / "a project/../secret", id="out by dots"),
        pytest.param(
            lambda root: (root / "a project/.netrc").write_text("s") and root / "a project/.netrc", id="hidden"
        ),
        pytest.param(
            lambda root: (root / "a project/l").symlink_to("/etc/hostname") or root / "a project/l", id="link"
        ),
    ],
)
def test_what_does_not_lie_with_the_document_stays_and_is_told(make, beside: Path) -> None:
    location = f"file://{make(beside.parent)}"
    found = Bundle.read(naming(beside, {"class": "File", "location": location}))
    assert (found.locations, found.left) == ((), (location,))
    assert found.packed() is None


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda data: (data / "l").symlink_to("/etc/hostname"), id="link"),
        pytest.param(lambda data: (data / ".netrc").write_text("s"), id="hidden file"),
        pytest.param(lambda data: (data / ".ssh").mkdir(), id="hidden directory"),
    ],
)
def test_a_directory_does_not_bring_what_it_links_to_or_hides(make, beside: Path) -> None:
    (beside / "data").mkdir()
    make(beside / "data")
    assert Bundle.read(naming(beside, file(beside / "data", "Directory"))).left


def test_no_more_is_carried_than_a_deployment_should_hold(beside: Path) -> None:
    (beside / "large").write_bytes(bytes(MOST_BYTES - 1))
    (beside / "more").write_bytes(b"ab")
    found = Bundle.read(naming(beside, [file(beside / "large"), file(beside / "more")]))
    assert found.left == (file(beside / "more")["location"],)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({"class": "File", "location": "https://example.org/x"}, id="URL"),
        pytest.param({"class": "File", "basename": "x", "contents": "x"}, id="literal"),
        pytest.param("text", id="no file"),
    ],
)
def test_what_is_no_file_of_a_machine_is_not_looked_at(value: object, beside: Path) -> None:
    assert Bundle.read(naming(beside, value)).locations == ()


def test_files_that_no_worker_can_read_are_told_to_be_deployed_again(beside: Path) -> None:
    with pytest.raises(DocumentError, match="deploy it again"):
        unpacked(Path(unpack(pack(naming(beside, None)), carried="aGVsbG8=")["directory"]))


def archive(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> str:
    """An archive in which something has a name that no deployment gives."""
    stream, listed = BytesIO(), b'["file:///x"]'
    with tarfile.open(fileobj=stream, mode="w") as made:
        for member, content in ((tarfile.TarInfo("locations.json"), listed), (tarfile.TarInfo(name), b"")):
            member.size = len(content)
            made.addfile(member, BytesIO(content))
        linked = tarfile.TarInfo("files/0/x")
        linked.type, linked.linkname = kind, link
        made.addfile(linked)
    return base64.b64encode(gzip.compress(stream.getvalue())).decode()


def former(content: dict) -> str:
    """What deployments held before there were archives."""
    return base64.b64encode(zlib.compress(json.dumps({"file:///x": content}).encode())).decode()


@pytest.mark.parametrize(
    "carried",
    [
        pytest.param(archive("../x"), id="file above"),
        pytest.param(archive("files/0/../../../x"), id="file out by dots"),
        pytest.param(archive("files", tarfile.SYMTYPE, "/etc/passwd"), id="link to elsewhere"),
        pytest.param(archive("files", tarfile.SYMTYPE, "../../../../x"), id="link out by dots"),
        pytest.param(archive("files", tarfile.LNKTYPE, "../x"), id="hard link"),
        pytest.param(archive("files", tarfile.FIFOTYPE), id="FIFO"),
        pytest.param(archive("files", tarfile.CHRTYPE), id="device"),
        *(pytest.param(former({"files": {name: ["", False]}}), id=name) for name in ("../x", "/x", "a/../../x")),
        *(pytest.param(former({"directories": [name]}), id=f"{name}/") for name in ("../x", "/x", "a/../../x")),
    ],
)
@pytest.mark.parametrize("filtered", [True, False], ids=["by tarfile's filter", "before Python 3.11.4"])
def test_nothing_is_laid_out_of_its_directory(
    beside: Path, carried: str, filtered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not filtered:
        monkeypatch.delattr(tarfile, "data_filter")
    directory = Path(unpack(pack(naming(beside, None)), carried=carried)["directory"])
    with pytest.raises(DocumentError, match="deploy it again"):
        unpacked(directory)
    assert list((beside.parent / "home/deployed").rglob("x")) == []


def test_equal_files_are_packed_alike(beside: Path) -> None:
    (beside / "data").mkdir()
    texts = set()
    for moment in (1, 2):
        for name in ("b", "a") if moment == 1 else ("a", "b"):
            (beside / "data" / name).write_text(name)
            os.utime(beside / "data" / name, (moment, moment))
        texts.add(Bundle.read(naming(beside, file(beside / "data", "Directory"))).packed())
        for path in (beside / "data").iterdir():
            path.unlink()
    assert len(texts) == 1


def test_files_are_laid_by_a_python_without_the_filter(beside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (beside / "data").mkdir()
    (beside / "data" / "a").write_text("content")
    bundle = Bundle.read(naming(beside, file(beside / "data", "Directory")))
    monkeypatch.delattr(tarfile, "data_filter")
    target = beside.parent / "target"
    target.mkdir()
    Bundle.unpacked(bundle.packed()).lay(target)
    assert [path.read_text() for path in target.rglob("a")] == ["content"]
