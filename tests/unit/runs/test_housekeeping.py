"""What the flow does that keeps a machine clean, besides workspaces."""

import os
from contextlib import nullcontext
from pathlib import Path

import pytest
from prefect.logging import disable_run_logger

from cwl_prefect.runs import housekeeping
from cwl_prefect.settings import Settings


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of a flow run that has nothing to ask Prefect and no containers to remove."""

    async def none_abandoned(_: Settings) -> int:
        return 0

    monkeypatch.setenv("CWL_PREFECT_HOME", str(tmp_path))
    monkeypatch.setattr(housekeeping, "get_client", nullcontext)
    monkeypatch.setattr(housekeeping, "posting", lambda client: client)
    monkeypatch.setattr(housekeeping, "reap_abandoned", none_abandoned)
    for name in ("reports/old/trace.jsonl", "downloads/old/version", "downloads/new/version"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
        if "old" in name:
            os.utime(path, (1e9, 1e9))
    return tmp_path


async def test_without_a_bound_the_cache_stays(home: Path) -> None:
    with disable_run_logger():
        found = await housekeeping.collect_workspaces.fn()
    assert found["downloads"] == 0
    assert (home / "downloads" / "old" / "version").exists()
    assert (home / "reports" / "old").exists()


async def test_what_nobody_used_in_the_cache_for_as_long_as_is_said_goes(home: Path) -> None:
    with disable_run_logger():
        found = await housekeeping.collect_workspaces.fn(unused_for_s=86400.0)
    assert found["downloads"] == 1
    assert not (home / "downloads" / "old" / "version").exists()
    assert (home / "downloads" / "new" / "version").exists()
    assert not (home / "reports" / "old").exists()
