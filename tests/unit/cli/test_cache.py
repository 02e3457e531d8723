"""The commands below ``cache``."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cwl_prefect.cli.app import app
from cwl_prefect.cli.cache import SHORT_KEY
from cwl_prefect.engine.cache.checksums import Checksums
from cwl_prefect.engine.cache.entry import encode_entry
from cwl_prefect.engine.cache.store import LocalStore
from cwl_prefect.engine.records.audit import Act, entries
from cwl_prefect.engine.records.journal import LOOK_UPS, Journal
from cwl_prefect.errors import InputError
from cwl_prefect.model.cache import CacheEntry, CallKey
from cwl_prefect.model.values import CwlObject
from cwl_prefect.reports.trace import TRACE, TRACE_VERSION

RUN = "0123-run"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CWL_PREFECT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def store(home: Path) -> LocalStore:
    return LocalStore(home / "cache", Checksums(None))


def digest_of(name: str) -> str:
    """Return a key that begins like every key of a longer name."""
    return name.encode().hex().ljust(64, "0")


def place_of(home: Path, name: str) -> Path:
    """Return where the entry of a key lies."""
    return home / "cache" / "entries" / digest_of(name)[:2] / digest_of(name)


def shown_key(name: str) -> str:
    """Return as much of a key as the commands show."""
    return digest_of(name)[:SHORT_KEY]


def keep(
    store: LocalStore,
    name: str,
    *,
    step: str = "prepare[1].align",
    created_at: float = 1e9,
    tool: CwlObject | None = None,
    **inputs,
) -> CallKey:
    digest = digest_of(name)
    key = CallKey(digest=digest, parts={"inputs": inputs} if tool is None else {"inputs": inputs, "tool": tool})
    entry = CacheEntry(
        key=key,
        step=step,
        tool="bwa",
        run_id="earlier-run",
        created_at=created_at,
        duration_s=2.5,
        outputs={"o": 1},
    )
    store.write_entry(digest, encode_entry(entry))
    return key


def record(home: Path, run_id: str, name: str = "") -> Path:
    """Write the trace of a run that has begun."""
    trace = home / "reports" / run_id / TRACE
    trace.parent.mkdir(parents=True)
    trace.write_text(json.dumps({"event": "run_started", "version": TRACE_VERSION, "at": 0, "name": name}) + "\n")
    return trace


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
    assert "nothing is recorded" in run("explain", "last", "align", code=InputError.exit_code)


def test_ls_shows_the_latest_first(store: LocalStore):
    for number in range(3):
        keep(store, f"key-{number}", created_at=1e9 + number)
    shown = run("ls", "--limit", "2")
    assert shown.index(shown_key("key-2")) < shown.index(shown_key("key-1"))
    assert shown_key("key-0") not in shown
    assert "2 calls, of 3" in shown


@pytest.mark.parametrize(("pattern", "count"), [("prepare.align", 1), ("bwa", 1), ("*align", 1), ("align", 0)])
def test_ls_of_a_step(store: LocalStore, pattern: str, count: int):
    keep(store, "key")
    assert len(json.loads(run("ls", "--json", "--step", pattern))) == count


def test_show_tells_all(store: LocalStore):
    keep(store, "key-1", n=3)
    keep(store, "key-2")
    assert json.loads(run("show", digest_of("key-1")))["key_parts"] == {"inputs": {"n": 3}}
    assert "2 calls" in run("show", b"key".hex(), code=2)


class TestExplain:
    @pytest.fixture
    def journal(self, home: Path) -> Journal:
        record(home, RUN, name="busy-fox")
        return Journal(home / "reports" / RUN / LOOK_UPS)

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
        assert f"was found: {shown_key('old')}" in told

    def test_a_refresh_that_was_asked_for_is_named(self, store: LocalStore, journal: Journal):
        keep(store, "old", n=3)
        journal.missed("align", "align", CallKey(digest="new", parts={"inputs": {"n": 4}}), refreshed=True)
        journal.close()
        told = run("explain", "last", "align")
        assert "a refresh was asked for" in told
        assert "was 3" not in told

    def test_a_last_run_that_looked_up_nothing_is_told(self, home: Path, journal: Journal):
        journal.refused("align", "align", "x")
        journal.close()
        later = (home / "reports" / RUN / TRACE).stat().st_mtime + 10
        os.utime(record(home, "other-run"), (later, later))
        assert "the run other-run looked up nothing" in run("explain", "last", "align", code=2)
        assert "cannot be cached: x" in run("explain", RUN, "align")

    def test_what_had_expired(self, store: LocalStore, journal: Journal):
        journal.missed("align", "align", keep(store, "old"))
        journal.close()
        assert "not wanted: it had expired" in run("explain", "last", "align")

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
        assert "its steps are: 'align.sort'" in run("explain", "last", "nope", code=2)


def test_verify_exits_with_1_where_something_was_damaged(store: LocalStore, home: Path):
    keep(store, "key")
    place_of(home, "key").write_text("torn")
    assert "Removed 1 calls" in run("verify", code=1)
    assert "All are whole" in run("verify")


def test_gc_removes_what_was_not_used_for_long(store: LocalStore, home: Path):
    for key in ("old", "new"):
        keep(store, key)
    os.utime(place_of(home, "old"), (1e9, 1e9))
    plan = home / "plans" / "old.json"
    plan.parent.mkdir()
    plan.touch()
    for old in (plan, record(home, "old-run")):
        os.utime(old, (1e9, 1e9))
    assert "Would remove 1 calls" in run("gc", "--older-than", "30d", "--dry-run")
    assert "Removed 1 calls" in run("gc", "--older-than", "30d")
    assert [kept.name for kept in store.entries()] == [digest_of("new")]
    assert [*(home / "reports").iterdir(), *(home / "plans").iterdir()] == []
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


def test_gc_removes_downloads_that_were_not_used_for_long(home: Path):
    old, young = (home / "downloads" / name / "version" for name in ("a", "b"))
    for path in (old, young):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x" * 1024)
    os.utime(old, (0, 0))

    assert "Would remove 1 downloads: 1.0 KiB." in run("gc", "--older-than", "30d", "--dry-run")
    assert "Removed 1 downloads: 1.0 KiB." in run("gc", "--older-than", "30d")
    assert (old.exists(), young.exists()) == (False, True)


def test_clear_removes_downloads_too(home: Path):
    path = home / "downloads" / "a" / "version"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    run("clear", "--yes")

    assert not path.exists()
