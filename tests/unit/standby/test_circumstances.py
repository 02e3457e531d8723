"""Whatever can change what is imported must change the circumstances; what differs between two calls must not."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cwl_prefect.standby.circumstances import OF_ONE_CALL, Circumstances

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


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=NAMES, value=VALUES)
def test_a_variable_counts_unless_it_is_of_one_call(circumstances: Circumstances, name: str, value: str) -> None:
    other = replace(circumstances, environment={**circumstances.environment, name: value})
    same = other.environment == circumstances.environment or name in OF_ONE_CALL

    assert (other.digest() == circumstances.digest()) is same


@pytest.mark.parametrize("name", sorted(OF_ONE_CALL))
def test_what_is_of_one_call_does_not_count(circumstances: Circumstances, name: str) -> None:
    other = replace(circumstances, environment={**circumstances.environment, name: "7"})

    assert other.digest() == circumstances.digest()


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("package/inner/code.py", id="edited-code"),
        pytest.param("package/inner/more.py", id="new-code"),
        pytest.param("installed/package.dist-info", id="installed-package"),
        pytest.param("directory/pyproject.toml", id="project"),
        pytest.param("directory/prefect.toml", id="configuration-of-prefect"),
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


@pytest.mark.parametrize(("name", "configured"), [("prefect.toml", True), (".env", True), ("reads.fq", False)])
def test_a_directory_with_what_prefect_reads_is_told(
    circumstances: Circumstances, tmp_path: Path, name: str, configured: bool
) -> None:
    (tmp_path / "directory" / name).write_text("")

    assert circumstances.configured_here is configured
