"""Whatever can change what is imported must change the circumstances; what differs between two calls must not."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cwl_prefect.server.standby.circumstances import OF_ONE_CALL, Circumstances, reads_seen, values_of

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="=\0"), min_size=1, max_size=12)
VALUES = st.text(st.characters(exclude_characters="\0"), max_size=12)


@pytest.fixture
def circumstances(tmp_path: Path) -> Circumstances:
    for name in ("package/inner", "directory", "installed"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "package" / "inner" / "code.py").write_text("1")
    return Circumstances(
        environment={"HOME": str(tmp_path), "PREFECT_HOME": str(tmp_path / "prefect"), "TERM": "xterm"},
        directory=tmp_path / "directory",
        search_path=[str(tmp_path / "installed")],
        package=tmp_path / "package",
    )


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("PREFECT_API_URL", True),
        ("PYTHONPATH", True),
        ("LD_PRELOAD", True),
        ("LC_ALL", True),
        ("CWL_PREFECT_HOME", True),
        ("PATH", True),
        ("CWL_PREFECT_BACKEND", False),
        ("SSH_AUTH_SOCK", False),
        ("TERM", False),
        ("SAMPLE", False),
    ],
)
def test_variables_count_that_decide_what_is_imported(circumstances: Circumstances, name: str, counts: bool) -> None:
    other = replace(circumstances, environment={**circumstances.environment, name: "another"})

    assert (other.digest() != circumstances.digest()) is counts


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=NAMES, value=VALUES)
def test_a_variable_that_was_read_counts_unless_it_is_of_one_call(name: str, value: str) -> None:
    same = values_of([name, "OTHER"], {name: value}) == values_of([name, "OTHER"], {})

    assert same is (name in OF_ONE_CALL)


def test_every_way_to_read_a_variable_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOUR", "4")
    with reads_seen() as names:
        assert os.environ.get("ONE") is None
        assert os.getenv("TWO") is None
        assert "THREE" not in os.environ
        assert os.environ["FOUR"] == "4"
    assert names == {"ONE", "TWO", "THREE", "FOUR"}
    assert os.environ.get("FIVE") is None
    assert "FIVE" not in names


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("package/inner/code.py", id="edited-code"),
        pytest.param("package/inner/more.py", id="new-code"),
        pytest.param("installed/package.dist-info", id="installed-package"),
        pytest.param("directory/pyproject.toml", id="project"),
        pytest.param("directory/prefect.toml", id="configuration-of-prefect"),
        pytest.param("directory/cwl-prefect.toml", id="settings"),
        pytest.param("directory/.env", id="dotenv"),
        pytest.param("prefect/profiles.toml", id="profiles"),
    ],
)
def test_a_file_that_imports_read_counts(circumstances: Circumstances, tmp_path: Path, path: str) -> None:
    before = circumstances.digest()

    (tmp_path / path).parent.mkdir(exist_ok=True)
    (tmp_path / path).write_text("something else")

    assert circumstances.digest() != before


def test_other_files_do_not_count(circumstances: Circumstances, tmp_path: Path) -> None:
    before = circumstances.digest()

    (tmp_path / "directory" / "reads.fq").write_text("ACGT")
    (tmp_path / "package" / "__pycache__").mkdir()
    (tmp_path / "package" / "__pycache__" / "code.py").write_text("2")

    assert circumstances.digest() == before


def test_the_profiles_that_a_variable_names_count(circumstances: Circumstances, tmp_path: Path) -> None:
    named = {**circumstances.environment, "PREFECT_PROFILES_PATH": str(tmp_path / "mine.toml")}
    circumstances = replace(circumstances, environment=named)
    before = circumstances.digest()

    (tmp_path / "mine.toml").write_text("active = 'mine'")

    assert circumstances.digest() != before


def test_the_place_of_the_code_counts(circumstances: Circumstances, tmp_path: Path) -> None:
    before = circumstances.digest()

    (tmp_path / "package").rename(tmp_path / "moved")

    assert replace(circumstances, package=tmp_path / "moved").digest() != before


def test_limits_count(circumstances: Circumstances) -> None:
    import resource

    before, limits = circumstances.digest(), resource.getrlimit(resource.RLIMIT_CORE)
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0 if limits[0] else 4096, limits[1]))
        after = circumstances.digest()
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, limits)

    assert after != before or limits[1] == 0
    assert circumstances.digest() == before


def test_own_circumstances_are_those_of_this_process() -> None:
    found = Circumstances.own(Path.cwd())

    assert found.environment == dict(os.environ)
    assert found.digest() == Circumstances.own(Path.cwd()).digest()


@pytest.mark.parametrize(
    ("name", "configured"), [("prefect.toml", True), (".env", True), ("cwl-prefect.toml", True), ("reads.fq", False)]
)
def test_a_directory_with_what_prefect_reads_is_told(
    circumstances: Circumstances, tmp_path: Path, name: str, configured: bool
) -> None:
    (tmp_path / "directory" / name).write_text("")

    assert circumstances.configured_here is configured
