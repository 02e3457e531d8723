import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cwl_prefect.engine.staging import workspace
from cwl_prefect.errors import BackendError


def create(runs, run_id, step, index, scratch=None):
    made = replace(workspace.locate(runs, run_id, step, index), scratch=scratch)
    workspace.create(made)
    return made


def test_makes_the_directories_of_a_call(tmp_path):
    made = create(tmp_path / "runs", "run-1", "prepare.align", (0, 2))
    assert made.root == (tmp_path / "runs" / "run-1" / "prepare.align" / "0-2").resolve()
    for directory in (made.out, made.tmp):
        assert directory.is_dir()
        assert not list(directory.iterdir())


def test_a_further_try_starts_empty(tmp_path):
    made = create(tmp_path, "run", "step", ())
    (made.out / "left").write_text("x")
    again = create(tmp_path, "run", "step", ())
    assert again == made
    assert not list(again.out.iterdir())


@given(st.text(min_size=1, max_size=300), st.text(min_size=1, max_size=300))
def test_names_never_leave_their_directory_and_stay_apart(one, other):
    name = workspace._directory_name(one)
    assert name not in ("", ".", "..")
    assert len(name) < 200
    assert set(name) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
    assert (name == workspace._directory_name(other)) == (one == other)


def test_removes_read_only_directories_and_follows_no_links(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    made = create(tmp_path / "runs", "run", "step", ())
    locked = made.out / "locked" / "inner"
    locked.mkdir(parents=True)
    (locked / "file").write_text("x")
    (made.out / "link").symlink_to(outside)
    locked.chmod(0o500)
    locked.parent.chmod(0o500)
    workspace.remove(made)
    assert not made.root.exists()
    assert (outside / "kept").exists()
    workspace.remove(made)
    workspace.remove_run(tmp_path / "runs", "run")
    assert not list((tmp_path / "runs").iterdir())


def test_allows_removal_of_locked_directories(tmp_path):
    locked = tmp_path / "a" / "b"
    locked.mkdir(parents=True)
    locked.chmod(0o000)
    locked.parent.chmod(0o000)
    workspace._allow_removal(tmp_path / "a")
    assert locked.stat().st_mode & 0o700 == 0o700


def test_tells_what_cannot_be_removed(tmp_path, monkeypatch, caplog):
    made = create(tmp_path, "run", "step", ())
    (made.out / "left").touch()

    def refuse(path, ignore_errors=False):
        if not ignore_errors:
            raise PermissionError(path)

    monkeypatch.setattr(workspace.shutil, "rmtree", refuse)
    workspace.remove(made)
    assert "cannot be removed" in caplog.text


def test_a_place_that_cannot_be_written_is_told_with_a_hint(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(BackendError, match="workspace of 'step'") as raised:
        create(tmp_path / "file", "run", "step", ())
    assert "--workdir" in raised.value.hint


class TestScratchPool:
    def test_a_scratch_directory_is_used_again_and_empty_each_time(self, tmp_path):
        pool = workspace.ScratchPool(tmp_path, "run")
        first = pool.take()
        made = create(tmp_path, "run", "step", (), scratch=first)
        assert made.tmp.is_dir()
        assert made.tmp.parent == made.logs.parent == first
        (made.tmp / "left").touch()
        (made.logs / "stderr").write_text("said")
        (made.logs / "stdout").touch()
        made.stage.mkdir()
        pool.give_back(made)
        assert pool.take() == first
        assert sorted(path.name for path in first.rglob("*")) == ["logs", "tmp"]

    def test_empty_files_for_what_the_next_call_prints_stay(self, tmp_path):
        pool = workspace.ScratchPool(tmp_path, "run")
        made = create(tmp_path, "run", "step", (), scratch=pool.take())
        (made.logs / "stderr").touch()
        inode = (made.logs / "stderr").stat().st_ino
        pool.give_back(made)
        pool.take()
        assert (made.logs / "stderr").stat().st_ino == inode

    @pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/null"), Path.mkdir])
    def test_what_a_tool_put_in_place_of_a_log_is_not_for_the_next(self, tmp_path, make):
        pool = workspace.ScratchPool(tmp_path, "run")
        made = create(tmp_path, "run", "step", (), scratch=pool.take())
        make(made.logs / "stderr")
        pool.give_back(made)
        assert pool.take() == made.scratch
        assert list(made.logs.iterdir()) == []

    def test_a_directory_that_cannot_be_emptied_is_not_for_the_next(self, tmp_path):
        pool = workspace.ScratchPool(tmp_path, "run")
        made = create(tmp_path, "run", "step", (), scratch=pool.take())
        made.tmp.rmdir()
        made.logs.rmdir()
        made.scratch.rmdir()  # as one that nobody may look into, of which root knows none
        pool.give_back(made)
        following = pool.take()
        assert following != made.scratch
        assert (following / "tmp").is_dir()

    def test_calls_at_one_time_have_different_ones(self, tmp_path):
        pool = workspace.ScratchPool(tmp_path, "run")
        assert pool.take() != pool.take()

    def test_a_workspace_without_scratch_is_not_pooled(self, tmp_path):
        pool = workspace.ScratchPool(tmp_path, "run")
        pool.give_back(create(tmp_path, "run", "step", ()))
        assert pool.take().name == "0"

    def test_evidence_moves_to_the_workspace(self, tmp_path):
        made = create(tmp_path, "run", "step", (), scratch=workspace.ScratchPool(tmp_path, "run").take())
        (made.logs / "stderr").write_text("said")
        (made.tmp / "left").write_text("x")
        (made.out / "result").write_text("half")
        assert made.out == made.root
        settled = workspace.settle(made)
        assert settled.logs == made.root / "logs"
        assert (settled.logs / "stderr").read_text() == "said"
        assert (settled.tmp / "left").read_text() == "x"
        assert (settled.out / "result").read_text() == "half"
        assert not made.scratch.exists()
        assert workspace.settle(settled) == workspace.settle(made) == settled

    def test_texts_name_the_places_after_the_move(self, tmp_path):
        made = create(tmp_path, "run", "step", (1,), scratch=workspace.ScratchPool(tmp_path, "run").take())
        text = f"--in={made.stage}/a {made.out}/b {made.out}0/c {made.scratch}0/d"
        settled = workspace.settle(made)
        told = f"--in={settled.stage}/a {settled.out}/b {made.root}0/c {made.scratch}0/d"
        assert settled.of_text(text, made) == told

    def test_a_call_that_was_never_staged_has_no_evidence(self, tmp_path):
        made = workspace.Workspace(root=tmp_path / "none", scratch=workspace.ScratchPool(tmp_path, "run").take())
        assert workspace.settle(made) == made
        assert not made.root.exists()

    def test_a_place_that_cannot_be_written_is_told(self, tmp_path):
        (tmp_path / "file").write_text("x")
        with pytest.raises(BackendError, match="workspace of a step"):
            workspace.ScratchPool(tmp_path / "file", "run").take()


class TestSmall:
    def test_few_bytes_are(self, tmp_path):
        (tmp_path / "a").write_bytes(b"x" * 1000)
        assert workspace.is_small(tmp_path)

    def test_many_bytes_are_not(self, tmp_path):
        for name in "abc":
            (tmp_path / name).write_bytes(b"x" * 100_000)
        assert not workspace.is_small(tmp_path)

    def test_a_directory_is_not(self, tmp_path):
        (tmp_path / "d").mkdir()
        assert not workspace.is_small(tmp_path)

    def test_a_link_is_not(self, tmp_path):
        (tmp_path / "link").symlink_to("/dev/zero")
        assert not workspace.is_small(tmp_path)
