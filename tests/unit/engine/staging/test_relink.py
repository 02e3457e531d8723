"""Links that a tool made lead on this machine where they led for the tool; those that led elsewhere are left alone."""

from pathlib import Path

import pytest

from cwl_prefect.engine.outputs.validate import validate
from cwl_prefect.engine.staging import workspace as workspaces
from cwl_prefect.engine.staging.relink import hold, relink
from cwl_prefect.engine.staging.stage import stage
from cwl_prefect.engine.staging.workspace import Workspace
from cwl_prefect.errors import OutputError
from cwl_prefect.model.job import EntryKind, StagedEntry
from cwl_prefect.model.values import CwlObject
from tests import calls


class Ended:
    """A call whose tool has ended, and what it had made."""

    def __init__(self, place: Path, *, mounts: bool) -> None:
        self.data = place / "data"
        (self.data / "dir" / "sub").mkdir(parents=True)
        (self.data / "file").write_text("file")
        (self.data / "dir" / "sub" / "one").write_text("one")
        self.space: Workspace = workspaces.locate(place / "runs", "run", "step", ())
        workspaces.create(self.space)
        self.stagedir = "/var/lib/cwl" if mounts else str(self.space.stage)
        self.out = "/var/spool/cwl" if mounts else str(self.space.out)
        entries = (
            (EntryKind.FILE, str(self.data / "file"), f"{self.stagedir}/0/file"),
            (EntryKind.DIRECTORY, str(self.data / "dir"), f"{self.stagedir}/1/dir"),
            (EntryKind.LITERAL, "literal", f"{self.stagedir}/2/literal"),
            (EntryKind.EMPTY_DIRECTORY, "", f"{self.stagedir}/3/made"),
            (EntryKind.FILE, str(self.data / "file"), f"{self.stagedir}/3/made/inner"),
            (EntryKind.FILE, str(self.data / "file"), f"{self.out}/given/staged"),
        )
        self.call = calls.call(
            entries=tuple(StagedEntry(kind=kind, source=source, target=target) for kind, source, target in entries),
            outdir=self.out,
            tmpdir="/tmp" if mounts else str(self.space.tmp),
        )
        stage(self.call, self.space, job_id="id", name="align", mounts=mounts, labels={})
        (self.space.out / "own").write_text("own")
        (self.space.out / "d" / "deep").mkdir(parents=True)

    def link(self, name: str, target: str) -> Path:
        """Make a link as the tool did, which saw other paths, and settle it."""
        link = self.space.out / name
        link.symlink_to(target.format(stage=self.stagedir, out=self.out))
        relink(self.call, self.space)
        return link


@pytest.fixture(params=[False, True], ids=["process", "container"])
def ended(request: pytest.FixtureRequest, tmp_path: Path) -> Ended:
    return Ended(tmp_path, mounts=request.param)


@pytest.mark.parametrize("name", ["link", "d/deep/link"])
@pytest.mark.parametrize(
    ("target", "text"),
    [
        pytest.param("{stage}/0/file", "file", id="to-an-input"),
        pytest.param("{stage}/0/../0/file", "file", id="by-a-detour"),
        pytest.param("{stage}/1/dir/sub/one", "one", id="below-an-input"),
        pytest.param("{stage}/2/literal", "literal", id="to-a-literal"),
        pytest.param("{stage}/3/made/inner", "file", id="below-a-literal"),
        pytest.param("{out}/own", "own", id="to-an-own-file"),
        pytest.param("{out}/given/staged", "file", id="to-what-is-staged-among-outputs"),
    ],
)
def test_a_link_leads_to_the_same_file_without_the_call(ended: Ended, name: str, target: str, text: str) -> None:
    link = ended.link(name, target)
    ended.space.stage.rename(ended.space.stage.with_name("gone"))
    assert link.read_text() == text


@pytest.mark.parametrize("target", ["{stage}/1/dir", "{stage}/3/made"])
def test_a_link_to_a_directory_leads_to_the_same_files(ended: Ended, target: str) -> None:
    link = ended.link("link", target)
    assert sorted(path.name for path in link.rglob("*") if path.is_file()) == ["one" if "1" in target else "inner"]


def test_a_link_beside_its_file_stays_as_it_is(ended: Ended) -> None:
    assert str(ended.link("d/link", "../own").readlink()) == "../own"


@pytest.mark.parametrize("target", ["/etc/hostname", "{stage}/0/other", "{stage}", "nowhere", "../../../other"])
def test_a_link_to_what_is_not_the_call_s_stays_as_it_is(ended: Ended, target: str) -> None:
    link = ended.link("link", target)
    assert str(link.readlink()) == target.format(stage=ended.stagedir, out=ended.out)


def output(ended: Ended, name: str) -> CwlObject:
    return {"o": {"class": "Directory", "location": (ended.space.out / name).as_uri(), "basename": name}}


def test_a_directory_holds_what_its_links_led_to_outside_of_it(ended: Ended) -> None:
    for number, target in enumerate(["{stage}/0/file", "{stage}/1/dir", "{out}/own"]):
        ended.link(f"d/{number}", target)
    ended.link("d/inside", "deep")
    hold(validate(output(ended, "d"), ended.call, ended.space.out, name="align"), name="align")
    moved = (ended.space.out / "d").rename(ended.data / "moved")
    assert [(moved / name).read_text() for name in ("0", "1/sub/one", "2")] == ["file", "one", "own"]
    assert [path.name for path in moved.iterdir() if path.is_symlink()] == ["inside"]
    assert (ended.data / "file").read_text() == "file"


def test_directories_that_hold_each_other_hold_what_their_links_led_to(ended: Ended) -> None:
    ended.link("d/deep/link", "{stage}/0/file")
    found: CwlObject = {name: output(ended, name)["o"] for name in ("d", "d/deep", "d/../d/deep")}
    hold(validate(found, ended.call, ended.space.out, name="align"), name="align")
    assert (ended.space.out / "d" / "deep" / "link").read_text() == "file"
    assert not (ended.space.out / "d" / "deep" / "link").is_symlink()


def test_a_directory_that_would_hold_itself_is_refused(ended: Ended) -> None:
    ended.link("d/around", "{out}")
    leaving = validate(output(ended, "d"), ended.call, ended.space.out, name="align")
    with pytest.raises(OutputError, match="cannot be copied into its directory: the copy would contain itself"):
        hold(leaving, name="align")
