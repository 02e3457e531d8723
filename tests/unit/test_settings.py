from pathlib import Path

import pytest
from pydantic import ValidationError

from cwl_prefect.configuration import NAME
from cwl_prefect.environment import environment
from cwl_prefect.settings import BackendName, Keep, OnError, Settings, origin


@pytest.fixture(autouse=True)
def _clean(monkeypatch, tmp_path):
    for name in environment():
        if name.startswith("CWL_PREFECT_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.chdir(tmp_path)


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


@pytest.mark.parametrize("place", ["s3://bucket/out", "gs://b/o", Path("az://b/o"), "file:///tmp/out"], ids=str)
def test_a_url_is_no_directory_for_workspaces(place):
    with pytest.raises(ValidationError, match="it is a URL"):
        Settings(workdir=place)


@pytest.mark.parametrize("place", ["s3://bucket/out", "s3://bucket/out/", Path("s3://bucket/out")], ids=repr)
def test_results_may_go_to_a_url(place):
    assert Settings(outdir=place).outdir == "s3://bucket/out"
    assert Settings.model_validate(Settings(outdir=place).model_dump(mode="json")).outdir == "s3://bucket/out"


@pytest.mark.parametrize(
    ("place", "said"), [("https://host/out", "only read from"), ("s3://key:secret@bucket/out", "holds a password")]
)
def test_a_url_that_results_cannot_go_to_is_refused(place, said):
    with pytest.raises(ValidationError, match=said):
        Settings(outdir=place)


@pytest.mark.parametrize("place", ["out", "/tmp/a:b/c", "a/b://c", "c:/x"])
def test_a_path_may_hold_colons(place):
    assert str(Settings(outdir=place).outdir).endswith(place.replace("//", "/"))


def test_what_is_given_wins_over_the_environment_and_that_over_files(monkeypatch, tmp_path):
    own = tmp_path / ".config/cwl-prefect"
    own.mkdir(parents=True)
    (own / NAME).write_text("retries = 1\nmax_calls = 1\ngroup_size = 1\nmemory_retries = 1\n")
    (tmp_path / NAME).write_text("retries = 2\nmax_calls = 2\ngroup_size = 2\n")
    monkeypatch.setenv("CWL_PREFECT_RETRIES", "3")
    monkeypatch.setenv("CWL_PREFECT_MAX_CALLS", "3")
    found = Settings(retries=4)
    assert (found.retries, found.max_calls, found.group_size, found.memory_retries) == (4, 3, 2, 1)
    assert [origin(name) for name in ("max_calls", "group_size", "memory_retries", "keep")] == [
        "CWL_PREFECT_MAX_CALLS",
        str(tmp_path / NAME),
        str(own / NAME),
        None,
    ]


def test_paths_in_a_file_are_relative_to_it(monkeypatch, tmp_path):
    own = tmp_path / ".config/cwl-prefect"
    own.mkdir(parents=True)
    (own / NAME).write_text(
        'workdir = "work"\nallow_path = ["~/data", "/x"]\ncache_url = "cache"\ncallbacks = "c.yml"\n'
    )
    found = Settings()
    assert (found.workdir, found.cache_url, found.callbacks) == (own / "work", str(own / "cache"), own / "c.yml")
    assert found.allow_path == (tmp_path / "data", Path("/x"))


def test_a_url_in_a_file_is_no_path(tmp_path):
    (tmp_path / NAME).write_text('cache_url = "s3://bucket/cache"\n')
    assert Settings().cache_url == "s3://bucket/cache"
    (tmp_path / NAME).write_text('outdir = "s3://bucket/out"\n')
    assert Settings().outdir == "s3://bucket/out"
    (tmp_path / NAME).write_text('workdir = "s3://bucket/work"\n')
    with pytest.raises(ValidationError, match="it is a URL"):
        Settings()
