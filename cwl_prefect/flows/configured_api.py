"""Find the Prefect API that the user configured: reads what Prefect would read, without importing Prefect."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

API_URL = "PREFECT_API_URL"


def configured_api_url(environment: Mapping[str, str], directory: Path) -> str | None:
    """Give the address that Prefect's client would use here, or None where nothing but Prefect's defaults would apply.

    The order is Prefect's: environment, ``.env``, ``prefect.toml``, ``pyproject.toml``, active profile.
    """
    dotenv = _read_dotenv(directory / ".env")
    prefect_toml = _read_toml(directory / "prefect.toml")
    pyproject = _table(_read_toml(directory / "pyproject.toml"), "tool", "prefect")
    return (
        environment.get(API_URL)
        or dotenv.get(API_URL)
        or _text(_table(prefect_toml, "api"), "url")
        or _text(_table(pyproject, "api"), "url")
        or _profile_api_url({**dotenv, **environment}, [prefect_toml, pyproject])
    )


def _profile_api_url(variables: Mapping[str, str], projects: list[Mapping[str, object]]) -> str | None:
    home = variables.get("PREFECT_HOME") or next(filter(None, (_text(table, "home") for table in projects)), None)
    prefect_home = Path(home).expanduser() if home else Path.home() / ".prefect"
    named = variables.get("PREFECT_PROFILES_PATH") or next(
        filter(None, (_text(table, "profiles_path") for table in projects)), None
    )
    profiles = _read_toml(Path(named) if named else prefect_home / "profiles.toml")
    active = variables.get("PREFECT_PROFILE") or _text(profiles, "active")
    if active is None:
        return None
    return _text(_table(profiles, "profiles", active), API_URL)


def _read_toml(path: Path) -> Mapping[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _read_dotenv(path: Path) -> Mapping[str, str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return {}
    pairs = (line.strip().removeprefix("export ").partition("=") for line in lines if not line.lstrip().startswith("#"))
    return {name.strip(): value.strip().strip("'\"") for name, separator, value in pairs if separator}


def _table(table: Mapping[str, object], *names: str) -> Mapping[str, object]:
    for name in names:
        inner = table.get(name)
        if not isinstance(inner, dict):
            return {}
        table = inner
    return table


def _text(table: Mapping[str, object], name: str) -> str | None:
    value = table.get(name)
    return value if isinstance(value, str) and value else None
