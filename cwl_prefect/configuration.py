"""Files of settings in TOML: that of the current directory, and the user's own; each sets what it names."""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cwl_prefect._lib.own_files import read_trusted
from cwl_prefect.errors import UsageError

NAME = "cwl-prefect.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """A file of settings.

    Attributes:
        path: Where it is.
        values: What it sets: numbers, texts, lists and tables by the names of settings, none of them checked.
    """

    path: Path
    values: Mapping[str, object]

    def placed(self, paths: Collection[str]) -> dict[str, object]:
        """Return what it sets, with paths relative to its directory.

        Args:
            paths: Names of settings that are paths, or lists of them.
        """
        return {name: self._path(value) if name in paths else value for name, value in self.values.items()}

    def _path(self, value: object) -> object:
        if isinstance(value, list):
            return [self._path(item) for item in value]
        is_path = isinstance(value, str) and "://" not in value  # which the validation refuses
        return str(self.path.parent / Path(str(value)).expanduser()) if is_path else value


def configurations(environment: Mapping[str, str], directory: Path) -> tuple[Configuration, ...]:
    """Return the files of settings that there are, each of which wins over the next.

    Args:
        environment: Names the user's directories (XDG Base Directory Specification).
        directory: The current directory.

    Raises:
        UsageError: A file is no TOML, cannot be read, or could have been written by somebody else.
    """
    found = (_read(path) for path in configuration_paths(environment, directory))
    return tuple(each for each in found if each is not None)


def configuration_paths(environment: Mapping[str, str], directory: Path) -> Iterator[Path]:
    """Yield where files of settings may be, whether or not there are any."""
    yield directory / NAME
    base = environment.get("XDG_CONFIG_HOME") or f"{environment.get('HOME') or Path.home()}/.config"
    yield Path(base) / "cwl-prefect" / NAME


def demand_known(files: Sequence[Configuration], known: Collection[str]) -> None:
    """Check that files set nothing that is no setting.

    Raises:
        UsageError: One does.
    """
    from cwl_prefect._lib.suggestions import near

    for file in files:
        for name in file.values.keys() - known:
            meant = near(name, known)
            raise UsageError(
                f"{file.path}: there is no setting {name}.",
                hint=f"Write {meant}." if meant else "`cwl-prefect config show` lists all settings.",
            )


def read_given(path: Path, what: str) -> str:
    """Return the text of a file that decides what a run does, and which nobody else may have written.

    Args:
        path: The file, or a link to it.
        what: What it is for people, as ``the callbacks``.

    Raises:
        UsageError: It cannot be read, is no text, or somebody else could have written it.
    """
    try:
        return read_trusted(path).decode("utf-8-sig")
    except PermissionError as error:
        raise UsageError(
            f"{what} {path} cannot be read: {error.strerror}.", hint="Let the file be your own, with `chmod go-w`."
        ) from error
    except OSError as error:
        raise UsageError(f"{what} {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{what} {path} cannot be read: it is no text in UTF-8.") from error


def _read(path: Path) -> Configuration | None:
    place = path.absolute()
    if not os.path.isfile(place):  # noqa: PTH113 - an answer also where nobody may look
        return None
    import tomllib

    try:
        return Configuration(path=place, values=tomllib.loads(read_given(place, "the settings")))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(
            f"{place}: this is no TOML: {error}.", hint='Write one setting a line, as backend = "docker".'
        ) from error
