"""The commands below ``cache``."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cwl_prefect.cli.app import app
from cwl_prefect.engine.audit import Act, entries
from cwl_prefect.engine.cache_entry import encode_entry
from cwl_prefect.engine.cache_store import LocalStore
from cwl_prefect.engine.checksums import Checksums
from cwl_prefect.engine.journal import Journal
from cwl_prefect.model.cache import CacheEntry, CallKey
from cwl_prefect.model.values import CwlObject

RUN = "0123-run"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CWL_PREFECT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def store(home: Path) -> LocalStore:
    return LocalStore(home / "cache", Checksums(None))


def keep(
    store: LocalStore,
    digest: str,
    *,
    step: str = "prepare[1].align",
    created_at: float = 1e9,
    tool: CwlObject | None = None,
    calls: tuple[str, ...] = (),
    **inputs,
) -> CallKey:
    key = CallKey(digest=digest, parts={"inputs": inputs} if tool is None else {"inputs": inputs, "tool": tool})
    entry = CacheEntry(
        key=key,
        step=step,
        tool="bwa",
        run_id="earlier-run",
        created_at=created_at,
        duration_s=2.5,
        outputs={"o": 1},
        call_keys=calls,
    )
    store.write_entry(digest, encode_entry(entry))
    return key


def keep_subworkflow(store: LocalStore) -> CallKey:
    """Keep one call of a subworkflow with the steps `first` and `inner`."""
    return keep(store, "whole", tool={"step first": "a", "step inner": "b", "inputs": "c", "outputs": "d"})


def run(*arguments: str, code: int = 0, given: str | None = None) -> str:
    result = CliRunner().invoke(app, ["cache", *arguments], input=given)
    assert result.exit_code == code, result.output
    return result.output


def test_an_empty_cache(home: Path):
    assert "0 calls" in run("ls")
    assert json.loads(run("ls", "--json")) == []
    assert "All are whole" in run("verify")
    assert "Removed 0 calls" in run("gc")
    assert "no call" in run("show", "abc", code=2)
    assert "no run" in run("explain", "last", "align", code=2)


def test_ls_shows_the_latest_first(store: LocalStore):
    for number in range(3):
        keep(store, f"key-{number}", created_at=1e9 + number)
    shown = run("ls", "--limit", "2")
    assert shown.index("key-2") < shown.index("key-1")
    assert "key-0" not in shown
    assert "2 calls, of 3" in shown


def test_ls_tells_a_whole_from_a_call(store: LocalStore):
    keep(store, "key-0", step="align", calls=("a", "b"))
    keep(store, "key-1", step="align[0]")
    shown = run("ls")
    assert "bwa  (align with its 2 calls of earlier-)" in shown
    assert "bwa  (align[0] of earlier-)" in shown
    assert [entry["calls"] for entry in json.loads(run("ls", "--json"))] == [2, 0]


@pytest.mark.parametrize(("pattern", "count"), [("prepare.align", 1), ("bwa", 1), ("*align", 1), ("align", 0)])
def test_ls_of_a_step(store: LocalStore, pattern: str, count: int):
    keep(store, "key")
    assert len(json.loads(run("ls", "--json", "--step", pattern))) == count


def test_show_tells_all(store: LocalStore):
    keep(store, "key-1", n=3)
    keep(store, "key-2")
    assert json.loads(run("show", "key-1"))["key_parts"] == {"inputs": {"n": 3}}
    assert "2 calls" in run("show", "key", code=2)


class TestExplain:
    @pytest.fixture
    def journal(self, home: Path) -> Journal:
        found = Journal(home / "journals" / f"{RUN}.jsonl")
        found.began("busy-fox", "words")
        return found

    @pytest.mark.parametrize("name", ["busy-fox", RUN, "0123", "last"])
    def test_what_changed(self, store: LocalStore, journal: Journal, name: str):
        keep(store, "old", step="align[7]", n=3)
        journal.missed("align", "align[2]", CallKey(digest="new", parts={"inputs": {"n": 4}}))
        journal.close()
        told = run("explain", name, "align")
        assert "0 cached, 1 not cached" in told
        assert "input `n`: 4, was 3" in told

    def test_one_call(self, store: LocalStore, journal: Journal):
        key = keep(store, "old")
        journal.found("align", "align[1]", key)
        journal.missed("align", "align[2]", CallKey(digest="new", parts={}))
        journal.close()
        told = run("explain", "last", "align[1]")
        assert "1 cached, 0 not cached" in told
        assert "was found: old" in told

    def test_what_was_refreshed(self, store: LocalStore, journal: Journal):
        journal.missed("align", "align", keep(store, "old"))
        journal.close()
        assert "not wanted: refreshed, or expired" in run("explain", "last", "align")

    def test_what_cannot_be_cached(self, journal: Journal):
        journal.refused("align", "align", "its WorkReuse says so")
        journal.close()
        assert "cannot be cached: its WorkReuse says so" in run("explain", "last", "align")

    def test_the_first_of_many(self, journal: Journal):
        for number in range(7):
            journal.missed("align", f"align[{number}]", CallKey(digest=str(number), parts={}))
        journal.close()
        told = run("explain", "last", "align")
        assert told.count("no earlier call") == 5
        assert "2 more" in told

    def test_an_unknown_step(self, journal: Journal):
        journal.refused("align[1].sort", "align[1].sort", "x")
        journal.close()
        assert "its steps are: align.sort" in run("explain", "last", "nope", code=2)

    @pytest.mark.parametrize("step", ["pair.first", "pair[1].first", "pair[1].inner[0].deep"])
    def test_a_step_of_a_subworkflow_that_was_found(self, store: LocalStore, journal: Journal, step: str):
        journal.found("pair", "pair[1]", keep_subworkflow(store))
        journal.close()
        assert "was found as a whole" in run("explain", "last", step)

    @pytest.mark.parametrize("step", ["sub.say", "sub[2].say", "sub[2].say[17]"])
    def test_a_scatter_that_was_found_as_a_whole(self, store: LocalStore, journal: Journal, step: str):
        journal.missed("sub[2].say", "sub[2].say[17]", CallKey(digest="before", parts={}))
        journal.found("sub[2].say", "sub[2].say", keep(store, "whole", tool={"step say": "a"}), calls=100)
        journal.close()
        told = run("explain", "last", step)
        assert "100 cached, 0 not cached" in told
        assert "sub[2].say was found, with all 100 calls of the scatter: whole" in told
        assert "looked up no step" in run("explain", "last", "sub[3].say[17]", code=2)

    def test_a_scatter_whose_calls_ran_later(self, store: LocalStore, journal: Journal):
        journal.found("say", "say", keep(store, "whole", step="say", tool={"step say": "a"}), calls=2)
        journal.found("say", "say[0]", keep(store, "one", step="say[0]"))
        journal.missed("say", "say[1]", CallKey(digest="new", parts={"inputs": {}}))
        journal.close()
        told = run("explain", "last", "say")
        assert "1 cached, 1 not cached" in told
        assert "nearest earlier call (one," in told

    @pytest.mark.parametrize("step", ["pair.nope", "pair.fir", "align.first"])
    def test_a_step_that_nothing_found_has(self, store: LocalStore, journal: Journal, step: str):
        journal.found("pair", "pair[1]", keep_subworkflow(store))
        journal.found("align", "align", keep(store, "tool-key"))
        journal.close()
        assert "its steps are: pair, align" in run("explain", "last", step, code=2)


def test_verify_exits_with_1_where_something_was_damaged(store: LocalStore, home: Path):
    keep(store, "abkey")
    (home / "cache" / "entries" / "ab" / "abkey").write_text("torn")
    assert "Removed 1 calls" in run("verify", code=1)
    assert "All are whole" in run("verify")


def test_gc_removes_what_was_not_used_for_long(store: LocalStore, home: Path):
    for key in ("abold", "abnew"):
        keep(store, key)
    os.utime(home / "cache" / "entries" / "ab" / "abold", (1e9, 1e9))
    (home / "journals").mkdir()
    (home / "journals" / "old.jsonl").write_text("")
    os.utime(home / "journals" / "old.jsonl", (1e9, 1e9))
    assert "Would remove 1 calls" in run("gc", "--older-than", "30d", "--dry-run")
    assert "Removed 1 calls" in run("gc", "--older-than", "30d")
    assert [kept.name for kept in store.entries()] == ["abnew"]
    assert list((home / "journals").iterdir()) == []
    assert "Removed 1 calls" in run("gc", "--max-size", "0")
    assert [entry.act for entry in entries(home / "runs")] == [Act.CACHE_REMOVED] * 2


@pytest.mark.parametrize("option", [("--older-than", "soon"), ("--max-size", "much")])
def test_gc_refuses_what_is_no_amount(home: Path, option: tuple[str, str]):
    assert option[0] in run("gc", *option, code=2)


def test_clear_asks(store: LocalStore):
    keep(store, "key")
    run("clear", given="n\n", code=1)
    assert len(list(store.entries())) == 1
    run("clear", given="y\n")
    assert list(store.entries()) == []


def test_another_cache_may_be_named(tmp_path: Path, home: Path):
    keep(LocalStore(tmp_path / "other", Checksums(None)), "key")
    assert "1 calls" in run("ls", "--cache", str(tmp_path / "other"))
    assert "Removed 1 calls" in run("clear", "--yes", "--cache", str(tmp_path / "other"))
