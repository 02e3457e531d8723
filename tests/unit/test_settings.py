import os
import urllib.request
from pathlib import Path

import pytest
from pydantic import ValidationError

from cwl_prefect import settings
from cwl_prefect.settings import BackendName, Keep, OnError, Settings


@pytest.fixture(autouse=True)
def _clean(monkeypatch, tmp_path):
    for name in settings.environment():
        if name.startswith("CWL_PREFECT_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)


def test_everything_has_a_default():
    found = Settings()
    assert (found.backend, found.on_error, found.keep) == (BackendName.AUTO, OnError.STOP, Keep.ON_FAILURE)


def test_every_setting_is_described():
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("backend", "docker", BackendName.DOCKER),
        ("max_cores", "1.5", 1.5),
        ("group_size", "7", 7),
        ("plan_cache", "false", False),
        ("workdir", "/data/work", Path("/data/work")),
        ("on_error", "continue", OnError.CONTINUE),
        ("keep", "always", Keep.ALWAYS),
    ],
)
def test_the_environment_sets(monkeypatch, name, text, value):
    monkeypatch.setenv(f"CWL_PREFECT_{name.upper()}", text)
    assert getattr(Settings(), name) == value


@pytest.mark.parametrize(
    "wrong",
    [
        {"backend": "podman"},
        {"max_cores": 0},
        {"max_ram_mib": -1},
        {"max_calls": 0},
        {"group_size": 0},
        {"retries": -1},
        {"step_timeout_s": 0},
        {"javascript_memory_mib": 1},
        {"server_port": 70000},
        {"on_error": "ignore"},
    ],
    ids="-".join,
)
def test_a_value_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValidationError):
        Settings(**wrong)


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("callbacks", "cb.yml", "a/cb.yml"),
        ("outdir", "out", "a/out"),
        ("cache_url", "cache", "a/cache"),
        ("cache_url", "~/cache", "cache"),
    ],
    ids=["callbacks", "outdir", "cache", "cache in the home"],
)
def test_relative_paths_start_from_where_the_settings_were_made(tmp_path, monkeypatch, name, given, expected):
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    monkeypatch.setenv(f"CWL_PREFECT_{name.upper()}", given)
    found = Settings()
    monkeypatch.chdir(tmp_path)
    assert str(getattr(found, name)) == str(tmp_path / expected)
    assert Settings.model_validate(found.model_dump(exclude_unset=True)) == found


@pytest.mark.parametrize("url", ["s3://bucket/cache", "file:///cache"])
def test_a_url_of_a_cache_stays(url):
    assert Settings(cache_url=url).cache_url == url


def test_settings_cannot_be_changed():
    with pytest.raises(ValidationError):
        Settings().retries = 3


def test_the_home_is_the_user_s_cache(tmp_path):
    assert Settings().home == tmp_path / ".cache" / "cwl-prefect"


def test_the_home_follows_the_cache_directory(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert Settings().home == Path("/caches/cwl-prefect")


def test_plans_and_workspaces_lie_in_the_home(tmp_path):
    found = Settings(home=tmp_path)
    assert (found.plans, found.runs) == (tmp_path / "plans", tmp_path / "runs")


def test_workspaces_can_lie_elsewhere(tmp_path):
    assert Settings(home=tmp_path, workdir=tmp_path / "fast").runs == tmp_path / "fast"


def test_the_search_path_is_the_user_s(monkeypatch):
    monkeypatch.setenv("PATH", "/my/bin")
    assert settings.search_path() == "/my/bin"


def test_without_a_search_path_there_is_the_system_s(monkeypatch):
    monkeypatch.delenv("PATH")
    assert "/bin" in settings.search_path()


def test_the_environment_is_a_copy():
    settings.environment()["CWL_PREFECT_RETRIES"] = "9"
    assert Settings().retries == 0


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "127.0.0.1"),
        ({"no_proxy": "example.org, 10.0.0.1"}, "example.org,10.0.0.1,127.0.0.1"),
        ({"NO_PROXY": "example.org"}, "example.org,127.0.0.1"),
        ({"no_proxy": "example.org", "NO_PROXY": "other.org"}, "example.org,127.0.0.1"),
        ({"no_proxy": "127.0.0.1"}, "127.0.0.1"),
        ({"no_proxy": "*"}, "*"),
    ],
    ids=["none", "some", "some in capitals", "both", "already", "all"],
)
def test_a_host_is_reached_without_a_proxy_beside_those_that_were_named(monkeypatch, given, expected):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, given.get(name, ""))
    settings.reach_directly("127.0.0.1")
    assert os.environ["no_proxy"] == expected
    monkeypatch.setenv("http_proxy", "http://proxy.example.org")
    assert urllib.request.proxy_bypass("127.0.0.1")
