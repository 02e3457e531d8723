import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cwl_prefect.engine.staging import workspace as workspaces
from cwl_prefect.engine.staging.layout import Layout
from cwl_prefect.engine.staging.relink import relink
from cwl_prefect.engine.staging.stage import stage
from cwl_prefect.engine.staging.workspace import Workspace
from cwl_prefect.errors import StepError
from cwl_prefect.model.job import BoundCall, EntryKind, Mount, StagedEntry
from tests import calls

OUT, TMP, IN = "/var/spool/cwl", "/tmp", "/var/lib/cwl"
ODD_NAMES = [
    "a b",
    "it's",
    'say "hi"',
    "co:lon",
    "new\nline",
    "ha#sh",
    "per%20cent",
    "ünïcödé",
    "comma,name",
    "-dash",
    "$(x)",
]


@pytest.fixture
def space(tmp_path) -> Workspace:
    made = workspaces.locate(tmp_path / "runs", "run", "step", ())
    workspaces.create(made)
    return made


@pytest.fixture
def data(tmp_path) -> Path:
    """Somebody's own files, which must never change."""
    root = tmp_path / "data"
    (root / "dir" / "sub").mkdir(parents=True)
    (root / "file.txt").write_text("file")
    (root / "other.txt").write_text("other")
    (root / "dir" / "one").write_text("one")
    (root / "dir" / "sub" / "two").write_text("two")
    return root


def snapshot(root: Path) -> dict[str, str | None]:
    return {
        str(path.relative_to(root)): None if path.is_dir() else path.read_text() for path in sorted(root.rglob("*"))
    }


def entry(kind: EntryKind, source: Path | str, target: str) -> StagedEntry:
    return StagedEntry(kind=kind, source=str(source), target=target)


def bound(*entries: StagedEntry, space: Workspace | None = None, **changes) -> BoundCall:
    """A call in a container, or, with a workspace, on this machine."""
    said = {"env": {"HOME": OUT}, "entries": entries}
    here = {} if space is None else {"outdir": str(space.out), "tmpdir": str(space.tmp), "image": None}
    return calls.call(**(said | here | changes))


def staged(call: BoundCall, space: Workspace, *, mounts: bool):
    return stage(call, space, job_id="id", name="align[3]", mounts=mounts, labels={"k": "v"})


def shown(job) -> dict[str, Mount]:
    assert len({mount.target for mount in job.mounts}) == len(job.mounts)
    return {mount.target: mount for mount in job.mounts}


def seen(job, target: str) -> Path:
    """The file of this machine that a container sees at a place."""
    mounts = [mount for mount in job.mounts if target == mount.target or target.startswith(mount.target + "/")]
    mount = max(mounts, key=lambda each: len(each.target))
    return Path(str(mount.source) + target.removeprefix(mount.target))


def assert_mount_points_exist(job) -> None:
    """Every mount inside another one finds its mount point there, so that the engine has to create nothing."""
    for mount in job.mounts:
        around = [each for each in job.mounts if mount.target.startswith(each.target + "/")]
        if around:
            outer = max(around, key=lambda each: len(each.target))
            point = Path(str(outer.source) + mount.target.removeprefix(outer.target))
            assert point.is_dir() if mount.source.is_dir() else point.is_file()


class TestOnThisMachine:
    def test_inputs_are_links_and_the_job_is_told(self, space, data):
        target = f"{space.stage}/0/file.txt"
        call = bound(entry(EntryKind.FILE, data / "file.txt", target), space=space, timeout_s=3, network=True)
        job = staged(call, space, mounts=False)
        assert Path(target).is_symlink()
        assert Path(target).read_text() == "file"
        assert (job.job_id, job.name, job.labels) == ("id", "align[3]", {"k": "v"})
        assert (job.mounts, job.workdir, job.timeout_s, job.network) == ((), str(space.out), 3, True)
        assert (job.stdin, job.stdout, job.stderr) == (None, space.logs / "stdout", space.logs / "stderr")

    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_any_name_is_staged(self, space, data, name):
        (data / name).write_text(name)
        call = bound(
            entry(EntryKind.FILE, data / name, f"{space.stage}/0/{name}"),
            entry(EntryKind.LITERAL, name, f"{space.out}/{name}"),
            space=space,
        )
        staged(call, space, mounts=False)
        assert Path(f"{space.stage}/0/{name}").read_text() == name
        assert (space.out / name).read_text() == name

    def test_two_files_of_one_name_lie_apart(self, space, data):
        call = bound(
            entry(EntryKind.FILE, data / "file.txt", f"{space.stage}/0/x"),
            entry(EntryKind.FILE, data / "other.txt", f"{space.stage}/1/x"),
            space=space,
        )
        staged(call, space, mounts=False)
        assert (space.stage / "0" / "x").read_text() == "file"
        assert (space.stage / "1" / "x").read_text() == "other"

    def test_literals_are_written_byte_for_byte(self, space):
        text = "a\r\nb\n\udcff\0é"
        call = bound(
            entry(EntryKind.LITERAL, text, f"{space.out}/ro"),
            entry(EntryKind.WRITABLE_LITERAL, text, f"{space.out}/rw"),
            space=space,
        )
        staged(call, space, mounts=False)
        assert (space.out / "ro").read_bytes() == b"a\r\nb\n\xff\0\xc3\xa9"
        assert (space.out / "ro").stat().st_mode & 0o777 == 0o444
        assert (space.out / "rw").stat().st_mode & 0o777 == 0o644

    def test_writable_entries_are_copies(self, space, data):
        (data / "file.txt").chmod(0o555)
        before = snapshot(data)
        call = bound(
            entry(EntryKind.WRITABLE_FILE, data / "file.txt", f"{space.out}/f"),
            entry(EntryKind.WRITABLE_DIRECTORY, data / "dir", f"{space.out}/d"),
            entry(EntryKind.EMPTY_DIRECTORY, "", f"{space.out}/e/f"),
            space=space,
        )
        staged(call, space, mounts=False)
        (space.out / "f").write_text("changed")
        (space.out / "d" / "sub" / "two").write_text("changed")
        assert (space.out / "e" / "f").is_dir()
        assert os.access(space.out / "f", os.X_OK)
        assert snapshot(data) == before

    def test_in_place_updates_reach_the_original(self, space, data):
        call = bound(
            entry(EntryKind.WRITABLE_FILE, data / "file.txt", f"{space.out}/f"), space=space, inplace_update=True
        )
        staged(call, space, mounts=False)
        (space.out / "f").write_text("changed")
        assert (data / "file.txt").read_text() == "changed"

    @pytest.mark.parametrize("swapped", [False, True], ids=["directory-first", "file-first"])
    def test_a_file_below_a_staged_directory_is_not_written_into_the_original(self, space, data, swapped):
        before = snapshot(data)
        entries = [
            entry(EntryKind.DIRECTORY, data / "dir", f"{space.out}/d"),
            entry(EntryKind.LITERAL, "new", f"{space.out}/d/sub/three"),
        ]
        staged(bound(*(reversed(entries) if swapped else entries), space=space), space, mounts=False)
        assert snapshot(data) == before
        assert {p: c for p, c in snapshot(space.out).items() if c} == {
            "d/one": "one",
            "d/sub/two": "two",
            "d/sub/three": "new",
        }

    def test_output_streams_do_not_write_through_links(self, space, data):
        before = snapshot(data)
        call = bound(
            entry(EntryKind.DIRECTORY, data / "dir", f"{space.out}/d"), space=space, stdout="d/log", stderr="new/err"
        )
        job = staged(call, space, mounts=False)
        job.stdout.write_text("log")
        job.stderr.write_text("err")
        assert snapshot(data) == before
        assert job.stderr == space.out / "new" / "err"

    def test_stdin_is_the_staged_file(self, space, data):
        target = f"{space.stage}/0/file.txt"
        call = bound(entry(EntryKind.FILE, data / "file.txt", target), space=space, stdin=target)
        assert staged(call, space, mounts=False).stdin.read_text() == "file"
        relative = bound(entry(EntryKind.LITERAL, "hi", f"{space.out}/in"), space=space, stdin="in")
        assert staged(relative, replace(space), mounts=False).stdin == space.out / "in"

    @pytest.mark.parametrize(
        "target", ["/etc/cron.d/x", "{runs}/../escape", "relative", "{root}/logs/x", "{root}/out/\0"]
    )
    def test_nothing_is_staged_outside_the_workspace(self, space, data, target):
        target = target.format(runs=space.root.parent, root=space.root)
        with pytest.raises(StepError) as raised:
            staged(bound(entry(EntryKind.LITERAL, "x", target), space=space), space, mounts=False)
        assert raised.value.step == "align[3]"
        assert raised.value.hint

    @pytest.mark.parametrize("stream", ["../x", "/etc/x", "a/../../x", "."])
    def test_streams_stay_inside(self, space, stream):
        with pytest.raises(StepError, match="not a file name inside"):
            staged(bound(space=space, stdout=stream), space, mounts=False)

    def test_a_workspace_that_is_not_empty_is_refused(self, space, data):
        call = bound(entry(EntryKind.FILE, data / "file.txt", f"{space.out}/f"), space=space)
        staged(call, space, mounts=False)
        with pytest.raises(StepError, match="cannot be put in place"):
            staged(call, space, mounts=False)

    def test_a_directory_that_is_a_link_already_is_not_entered(self, space, data):
        (space.out / "d").symlink_to(data)
        with pytest.raises(StepError):
            staged(bound(entry(EntryKind.LITERAL, "x", f"{space.out}/d/x"), space=space), space, mounts=False)
        assert not (data / "x").exists()

    @pytest.mark.parametrize(
        ("kind", "name", "words"),
        [
            pytest.param(EntryKind.FILE, "missing", "No such file", id="missing"),
            pytest.param(EntryKind.FILE, "dir", "is a directory, but the step takes a file", id="directory-for-file"),
            pytest.param(EntryKind.DIRECTORY, "file.txt", "is a file, but", id="file-for-directory"),
            pytest.param(EntryKind.WRITABLE_FILE, "dir", "is a directory, but", id="writable"),
        ],
    )
    def test_sources_must_be_what_they_are_said_to_be(self, space, data, kind, name, words):
        with pytest.raises(StepError, match=words) as raised:
            staged(bound(entry(kind, data / name, f"{space.out}/x"), space=space), space, mounts=False)
        assert raised.value.hint

    def test_relinking_changes_nothing(self, space, data):
        call = bound(entry(EntryKind.FILE, data / "file.txt", f"{space.out}/f"), space=space)
        staged(call, space, mounts=False)
        relink(call, space)
        assert (space.out / "f").is_symlink()


class TestInContainers:
    def test_inputs_and_directories_are_mounted(self, space, data):
        call = bound(
            entry(EntryKind.FILE, data / "file.txt", f"{IN}/0/x"),
            entry(EntryKind.FILE, data / "other.txt", f"{IN}/1/x"),
            entry(EntryKind.DIRECTORY, data / "dir", f"{IN}/2/dir"),
            stdin=f"{IN}/2/dir/one",
        )
        job = staged(call, space, mounts=True)
        mounts = shown(job)
        assert mounts[OUT] == Mount(source=space.out, target=OUT, writable=True)
        assert mounts[TMP] == Mount(source=space.tmp, target=TMP, writable=True)
        assert mounts[f"{IN}/1/x"] == Mount(source=data / "other.txt", target=f"{IN}/1/x")
        assert mounts[f"{IN}/2/dir"].source == data / "dir"
        assert job.stdin == data / "dir" / "one"
        assert job.workdir == OUT
        assert not list(space.out.iterdir())

    def test_links_are_mounted_as_what_they_lead_to(self, space, data):
        (data / "link").symlink_to("file.txt")
        job = staged(bound(entry(EntryKind.FILE, data / "link", f"{IN}/0/x")), space, mounts=True)
        assert shown(job)[f"{IN}/0/x"].source == data / "file.txt"

    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_any_name_is_mounted_relinked_and_read(self, space, data, name):
        (data / name).write_text(name)
        call = bound(
            entry(EntryKind.FILE, data / name, f"{OUT}/in/{name}"),
            entry(EntryKind.LITERAL, name, f"{OUT}/{name}"),
            stdin=f"{OUT}/in/{name}",
        )
        job = staged(call, space, mounts=True)
        assert_mount_points_exist(job)
        assert job.stdin.read_text() == seen(job, f"{OUT}/in/{name}").read_text() == name
        relink(call, space)
        assert (space.out / "in" / name).read_text() == name

    def test_work_dir_entries(self, space, data):
        before = snapshot(data)
        call = bound(
            entry(EntryKind.FILE, data / "file.txt", f"{OUT}/deep/ro"),
            entry(EntryKind.DIRECTORY, data / "dir", f"{OUT}/d"),
            entry(EntryKind.WRITABLE_FILE, data / "other.txt", f"{OUT}/rw"),
            entry(EntryKind.WRITABLE_DIRECTORY, data / "dir", f"{OUT}/wd"),
            entry(EntryKind.LITERAL, "text", f"{OUT}/lit"),
            entry(EntryKind.EMPTY_DIRECTORY, "", f"{OUT}/empty"),
            stdin=f"{OUT}/rw",
            stdout="logs/out",
        )
        job = staged(call, space, mounts=True)
        assert_mount_points_exist(job)
        assert set(shown(job)) == {OUT, TMP, f"{OUT}/deep/ro", f"{OUT}/d"}
        assert job.stdin == space.out / "rw"
        assert job.stdout == space.out / "logs" / "out"
        (space.out / "wd" / "one").write_text("changed")
        (space.out / "rw").write_text("changed")
        assert (space.out / "lit").stat().st_mode & 0o777 == 0o444
        relink(call, space)
        assert (space.out / "deep" / "ro").is_symlink()
        assert (space.out / "d").resolve() == data / "dir"
        assert not (space.out / "wd").is_symlink()
        assert snapshot(data) == before
        relink(call, space)
        assert (space.out / "d" / "one").read_text() == "one"

    @pytest.mark.parametrize("swapped", [False, True], ids=["directory-first", "file-first"])
    @pytest.mark.parametrize("place", [OUT, IN])
    def test_a_mount_below_another_touches_no_original(self, space, data, place, swapped):
        before = snapshot(data)
        entries = [
            entry(EntryKind.DIRECTORY, data / "dir", f"{place}/d"),
            entry(EntryKind.FILE, data / "other.txt", f"{place}/d/sub/three"),
            entry(EntryKind.LITERAL, "4", f"{place}/d/four"),
        ]
        call = bound(*(reversed(entries) if swapped else entries))
        job = staged(call, space, mounts=True)
        assert_mount_points_exist(job)
        expected = {"one": "one", "sub/two": "two", "sub/three": "other", "four": "4"}
        assert {name: seen(job, f"{place}/d/{name}").read_text() for name in expected} == expected
        relink(call, space)
        assert snapshot(data) == before
        if place == OUT:
            assert {p: c for p, c in snapshot(space.out / "d").items() if c} == expected

    def test_a_literal_directory_among_the_inputs_is_one_mount(self, space, data):
        call = bound(
            entry(EntryKind.EMPTY_DIRECTORY, "", f"{IN}/0/d"),
            entry(EntryKind.LITERAL, "1", f"{IN}/0/d/one"),
            entry(EntryKind.FILE, data / "file.txt", f"{IN}/0/d/sub/two"),
        )
        job = staged(call, space, mounts=True)
        assert_mount_points_exist(job)
        assert set(shown(job)) == {OUT, TMP, f"{IN}/0/d", f"{IN}/0/d/sub/two"}
        assert seen(job, f"{IN}/0/d/one").read_text() == "1"
        assert not shown(job)[f"{IN}/0/d"].writable

    def test_literals_among_the_inputs_are_mounted(self, space):
        call = bound(
            entry(EntryKind.LITERAL, "1", f"{IN}/0/x"),
            entry(EntryKind.LITERAL, "2", f"{IN}/1/x"),
            stdin=f"{IN}/1/x",
        )
        job = staged(call, space, mounts=True)
        assert seen(job, f"{IN}/0/x").read_text() == "1"
        assert job.stdin.read_text() == "2"

    def test_a_child_that_its_directory_brings_along_is_not_mounted_again(self, space, data):
        call = bound(
            entry(EntryKind.DIRECTORY, data / "dir", f"{IN}/0/dir"),
            entry(EntryKind.FILE, data / "dir" / "sub" / "two", f"{IN}/0/dir/sub/two"),
        )
        assert set(shown(staged(call, space, mounts=True))) == {OUT, TMP, f"{IN}/0/dir"}

    def test_in_place_updates_mount_the_original_writable(self, space, data):
        call = bound(
            entry(EntryKind.WRITABLE_FILE, data / "file.txt", f"{OUT}/f"),
            entry(EntryKind.WRITABLE_DIRECTORY, data / "dir", f"{OUT}/d"),
            inplace_update=True,
        )
        job = staged(call, space, mounts=True)
        assert_mount_points_exist(job)
        assert shown(job)[f"{OUT}/f"] == Mount(source=data / "file.txt", target=f"{OUT}/f", writable=True)
        assert shown(job)[f"{OUT}/d"].writable
        relink(call, space)
        assert (space.out / "f").resolve() == data / "file.txt"

    def test_a_required_container_may_take_files_anywhere(self, space, data):
        call = bound(
            entry(EntryKind.WRITABLE_FILE, data / "file.txt", "/opt/conf"),
            entry(EntryKind.WRITABLE_LITERAL, "x", "/tmp/inside/x"),
            entry(EntryKind.EMPTY_DIRECTORY, "", "/data"),
            any_path=True,
        )
        job = staged(call, space, mounts=True)
        assert shown(job)["/opt/conf"].writable
        assert shown(job)["/data"].writable
        assert (space.tmp / "inside" / "x").read_text() == "x"
        (seen(job, "/opt/conf")).write_text("changed")
        assert (data / "file.txt").read_text() == "file"

    def test_others_may_not_write_outside_the_output_directory(self, space, data):
        with pytest.raises(StepError, match="outside of the directories"):
            staged(bound(entry(EntryKind.WRITABLE_FILE, data / "file.txt", "/opt/conf")), space, mounts=True)

    def test_an_output_directory_inside_the_temporary_one(self, space):
        job = staged(bound(outdir="/tmp/out"), space, mounts=True)
        assert_mount_points_exist(job)
        assert [mount.target for mount in job.mounts] == ["/tmp", "/tmp/out"]

    def test_a_directory_staged_as_the_whole_output_directory(self, space, data):
        call = bound(entry(EntryKind.DIRECTORY, data / "dir", f"{OUT}/."))
        job = staged(call, space, mounts=True)
        assert_mount_points_exist(job)
        assert seen(job, f"{OUT}/sub/two").read_text() == "two"

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            pytest.param({"outdir": "/"}, "whole root", id="root-as-output-directory"),
            pytest.param({"stdin": "/nowhere"}, "neither an input nor", id="stdin-from-nowhere"),
            pytest.param({"stdin": "../../../etc/passwd"}, "not a place", id="stdin-from-above"),
        ],
    )
    def test_refuses(self, space, changes, words):
        with pytest.raises(StepError, match=words):
            staged(bound(**changes), space, mounts=True)

    def test_relinking_does_not_follow_what_the_tool_put_there(self, space, data):
        call = bound(entry(EntryKind.FILE, data / "file.txt", f"{OUT}/d/other.txt"))
        staged(call, space, mounts=True)
        (space.out / "d" / "other.txt").unlink()
        (space.out / "d").rmdir()
        (space.out / "d").symlink_to(data)
        before = snapshot(data)
        relink(call, space)
        assert snapshot(data) == before

    def test_a_mount_point_that_cannot_be_replaced_is_told(self, space, data):
        call = bound(entry(EntryKind.DIRECTORY, data / "dir", f"{OUT}/d"))
        staged(call, space, mounts=True)
        (space.out / "d" / "left").write_text("x")
        with pytest.raises(StepError, match="cannot be linked"):
            relink(call, space)


class TestConflicts:
    @pytest.mark.parametrize("mounts", [False, True], ids=["links", "mounts"])
    @pytest.mark.parametrize(
        ("first", "second"),
        [
            pytest.param((EntryKind.FILE, "file.txt", "x"), (EntryKind.FILE, "other.txt", "x"), id="two-files"),
            pytest.param((EntryKind.LITERAL, "1", "x"), (EntryKind.LITERAL, "2", "x"), id="two-literals"),
            pytest.param((EntryKind.FILE, "file.txt", "x"), (EntryKind.LITERAL, "1", "x/y"), id="below-a-file"),
            pytest.param((EntryKind.LITERAL, "1", "x/y"), (EntryKind.FILE, "file.txt", "x"), id="over-a-directory"),
            pytest.param((EntryKind.DIRECTORY, "dir", "x"), (EntryKind.DIRECTORY, ".", "x"), id="two-directories"),
        ],
    )
    def test_two_things_in_one_place_are_refused(self, space, data, mounts, first, second):
        out = OUT if mounts else str(space.out)
        entries = [
            entry(kind, source if kind is EntryKind.LITERAL else data / source, f"{out}/{target}")
            for kind, source, target in (first, second)
        ]
        with pytest.raises(StepError, match="both to be at") as raised:
            staged(bound(*entries, space=None if mounts else space), space, mounts=mounts)
        assert raised.value.hint

    def test_the_same_file_twice_is_no_conflict_and_writable_wins(self, space, data):
        call = bound(
            entry(EntryKind.FILE, data / "file.txt", f"{space.out}/x"),
            entry(EntryKind.WRITABLE_FILE, data / "file.txt", f"{space.out}/x"),
            entry(EntryKind.FILE, data / "file.txt", f"{space.out}/x"),
            entry(EntryKind.DIRECTORY, data / "dir", f"{space.out}/d"),
            entry(EntryKind.EMPTY_DIRECTORY, "", f"{space.out}/d"),
            space=space,
        )
        staged(call, space, mounts=False)
        assert not (space.out / "x").is_symlink()
        assert (space.out / "d").is_symlink()

    def test_what_is_named_goes_before_what_a_directory_brings(self, space, data):
        other = data / "more"
        other.mkdir()
        (other / "three").write_text("3")
        call = bound(
            entry(EntryKind.DIRECTORY, data / "dir", f"{space.out}/d"),
            entry(EntryKind.LITERAL, "mine", f"{space.out}/d/one"),
            entry(EntryKind.DIRECTORY, other, f"{space.out}/d/sub"),
            space=space,
        )
        staged(call, space, mounts=False)
        assert (space.out / "d" / "one").read_text() == "mine"
        assert sorted(path.name for path in (space.out / "d" / "sub").iterdir()) == ["three", "two"]

    def test_links_that_lead_nowhere_are_left_out(self, space, data):
        (data / "dir" / "gone").symlink_to("nowhere")
        call = bound(
            entry(EntryKind.DIRECTORY, data / "dir", f"{space.out}/d"),
            entry(EntryKind.LITERAL, "x", f"{space.out}/d/x"),
            entry(EntryKind.WRITABLE_DIRECTORY, data / "dir", f"{space.out}/w"),
            entry(EntryKind.LITERAL, "x", f"{space.out}/w/x"),
            space=space,
        )
        staged(call, space, mounts=False)
        assert sorted(path.name for path in (space.out / "d").iterdir()) == ["one", "sub", "x"]
        assert not (space.out / "w" / "one").is_symlink()

    def test_nothing_goes_below_a_directory_updated_in_place(self, space, data):
        call = bound(
            entry(EntryKind.WRITABLE_DIRECTORY, data / "dir", f"{OUT}/d"),
            entry(EntryKind.LITERAL, "x", f"{OUT}/d/x"),
            inplace_update=True,
        )
        with pytest.raises(StepError, match="both to be at"):
            staged(call, space, mounts=True)

    @pytest.mark.parametrize("kind", [EntryKind.FILE, EntryKind.DIRECTORY])
    def test_streams_overwrite_no_input(self, space, data, kind):
        source = data / ("file.txt" if kind is EntryKind.FILE else "dir")
        with pytest.raises(StepError, match="both to be at"):
            staged(bound(entry(kind, source, f"{space.out}/x"), space=space, stdout="x"), space, mounts=False)

    def test_streams_may_replace_copies_and_share_a_file(self, space, data):
        call = bound(
            entry(EntryKind.WRITABLE_FILE, data / "file.txt", f"{space.out}/x"), space=space, stdout="x", stderr="x"
        )
        job = staged(call, space, mounts=False)
        assert job.stdout == job.stderr
        assert not job.stdout.exists()

    def test_an_entry_cannot_take_the_place_of_a_stream(self):
        layout = Layout()
        layout.reserve("/x")
        with pytest.raises(StepError, match="what the tool itself writes"):
            layout.add(entry(EntryKind.LITERAL, "1", "/x"))


NAMES = st.sampled_from(["a", "b", "c"])
ENTRIES = st.lists(
    st.tuples(
        st.sampled_from([EntryKind.LITERAL, EntryKind.EMPTY_DIRECTORY, EntryKind.FILE, EntryKind.DIRECTORY]),
        st.lists(NAMES, min_size=1, max_size=3).map("/".join),
        st.booleans(),
    ),
    max_size=6,
)


@given(ENTRIES, st.booleans())
def test_whatever_is_staged_the_originals_stay_and_every_entry_is_seen(tmp_path_factory, entries, mounts):
    base = tmp_path_factory.mktemp("stage")
    originals = base / "data"
    (originals / "a" / "b").mkdir(parents=True)
    (originals / "a" / "c").write_text("original")
    (originals / "file").write_text("original")
    before = snapshot(originals)
    space = workspaces.locate(base / "runs", "run", "step", ())
    workspaces.create(space)
    out, inside = (OUT, IN) if mounts else (str(space.out), str(space.stage))
    sources = {
        EntryKind.LITERAL: "text",
        EntryKind.EMPTY_DIRECTORY: "",
        EntryKind.FILE: str(originals / "file"),
        EntryKind.DIRECTORY: str(originals / "a"),
    }
    listed = [entry(kind, sources[kind], f"{out if below else inside}/{path}") for kind, path, below in entries]
    call = bound(*listed, space=None if mounts else space)
    try:
        job = staged(call, space, mounts=mounts)
    except StepError as error:
        conflict = error.message
        assume("both to be at" not in conflict)
        raise
    finally:
        assert snapshot(originals) == before
    assert_mount_points_exist(job)
    for each in listed:
        place = Path(each.target) if not mounts else seen_or_implied(job, each.target)
        if each.kind in (EntryKind.FILE, EntryKind.LITERAL):
            assert place.read_text() in ("original", "text")
        elif place is not None:
            assert place.is_dir()
    relink(call, space)
    assert snapshot(originals) == before


def seen_or_implied(job, target: str) -> Path | None:
    """As `seen`; None for a directory that the engine makes because of the mounts below it."""
    if any(target == mount.target or target.startswith(mount.target + "/") for mount in job.mounts):
        return seen(job, target)
    assert any(mount.target.startswith(target + "/") for mount in job.mounts)
    return None
