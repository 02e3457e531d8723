"""Find the Prefect API that the user configured: reads what Prefect would read, without importing Prefect."""

import re
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import ModuleType

from cwl_prefect._lib.own_files import is_trusted
from cwl_prefect.environment import environment
from cwl_prefect.errors import UsageError

API_URL = "PREFECT_API_URL"


_FILES = (".env", "prefect.toml", "pyproject.toml")
# What names code, or where a file of it lies: https://docs.prefect.io/v3/api-ref/settings-ref
_CODE = {
    "PREFECT_LOGGING_CONFIG_PATH": ("logging", "config_path"),
    "PREFECT_HOME": ("home",),
    "PREFECT_PROFILES_PATH": ("profiles_path",),
    "PREFECT_PLUGINS": ("plugins",),
    "PREFECT_EXPERIMENTS": ("experiments",),
}
_CODE_VARIABLES = re.compile(
    "PREFECT_(HOME|PROFILES_PATH|LOGGING|LOGGING_(CONFIG|SETTINGS)_PATH|(PLUGINS|EXPERIMENTS)(_.*)?)", re.IGNORECASE
)


def configured_api_url(environment: Mapping[str, str], directory: Path) -> str | None:
    """Return the address that Prefect's client would use here, or None where only Prefect's defaults would apply.

    The order is Prefect's: environment, ``.env``, ``prefect.toml``, ``pyproject.toml``, active profile.
    """
    dotenv, *projects = (_settings_in(directory / name) for name in _FILES)
    return (
        environment.get(API_URL)
        or _api_url(dotenv)
        or next(filter(None, map(_api_url, projects)), None)
        or _profile_api_url({**dotenv, **environment}, projects)
    )


def file_of_api(environment: Mapping[str, str], directory: Path) -> Path | None:
    """Return the file of the current directory that says which API is used; None where none does."""
    if environment.get(API_URL):
        return None
    return next((directory / name for name in _FILES if _api_url(_settings_in(directory / name))), None)


def demand_harmless_settings(environment: Mapping[str, str], directory: Path) -> None:
    """Check that Prefect would read no settings here that others could have written, and none that name code.

    Prefect itself reads these files of the current directory wherever it is imported.

    Raises:
        UsageError: It would.
    """
    for path in (directory / name for name in _FILES):
        found = _settings_in(path)
        if not found:
            continue
        if not (is_trusted(path) and is_trusted(directory)):
            raise UsageError(
                f"{path} has settings of Prefect, and somebody else could have written it.",
                hint=f"let {path} and its directory be your own, with `chmod go-w`, or start in another directory.",
            )
        for name in _code_in(found):
            if not environment.get(name):
                raise UsageError(
                    f"{path} sets {name}, which names code: that is not taken from the current directory.",
                    hint=f"remove it there, and set {name} in the environment where you want it.",
                )


def check_before_import() -> None:
    """See to it that whatever imports Prefect in this process is refused where :func:`demand_harmless_settings` is."""
    sys.meta_path.insert(0, _Check())


class _Check(MetaPathFinder):
    """Finds nothing, but is asked first; once Prefect may be imported it goes."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:  # noqa: ARG002
        """Raise a UsageError where Prefect would read here what it must not."""
        if fullname == "prefect":
            demand_harmless_settings(environment(), Path.cwd())
            sys.meta_path.remove(self)


def _code_in(found: Mapping[str, object]) -> Iterator[str]:
    """Yield the variables of Prefect for those settings of a file that name code."""
    yield from (name for name in found if _CODE_VARIABLES.fullmatch(name))
    for variable, (*above, name) in _CODE.items():
        if name in _table(found, *above):
            yield variable


def _settings_in(path: Path) -> Mapping[str, object]:
    """Return the settings of Prefect in a file: variables, or the tables of TOML."""
    if path.name == ".env":
        return {name: value for name, value in _read_dotenv(path).items() if name.upper().startswith("PREFECT_")}
    return _table(_read_toml(path), *(("tool", "prefect") if path.name == "pyproject.toml" else ()))


def _api_url(settings: Mapping[str, object]) -> str | None:
    return _text(settings, API_URL) or _text(_table(settings, "api"), "url")


def _profile_api_url(variables: Mapping[str, object], projects: list[Mapping[str, object]]) -> str | None:
    home = _text(variables, "PREFECT_HOME") or next(filter(None, (_text(table, "home") for table in projects)), None)
    prefect_home = Path(home).expanduser() if home else Path.home() / ".prefect"
    named = _text(variables, "PREFECT_PROFILES_PATH") or next(
        filter(None, (_text(table, "profiles_path") for table in projects)), None
    )
    profiles = _read_toml(Path(named) if named else prefect_home / "profiles.toml")
    active = _text(variables, "PREFECT_PROFILE") or _text(profiles, "active")
    if active is None:
        return None
    return _text(_table(profiles, "profiles", active), API_URL)


def _read_toml(path: Path) -> Mapping[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _read_dotenv(path: Path) -> Mapping[str, str]:
    if not path.is_file():
        return {}
    from dotenv import dotenv_values

    try:
        return {name: value for name, value in dotenv_values(path, encoding="utf-8").items() if value is not None}
    except (OSError, ValueError):
        return {}


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
