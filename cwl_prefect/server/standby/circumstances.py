"""What a program sees while it is imported: a process that stands by serves only calls that see the very same."""

import contextlib
import hashlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cwl_prefect.configuration import NAME, configuration_paths

OF_ONE_CALL = frozenset({"COLUMNS", "LINES", "OLDPWD", "PWD", "SHLVL", "TERM", "_"})
"""Variables that may be read while something is imported, but decide nothing by then."""

_NAMES = ("CWL_PREFECT_HOME", "CWL_PREFECT_STANDBY_IDLE_S", "HOME", "LANG", "LANGUAGE", "PATH", "TMPDIR", "TZ", "USER")
_FAMILIES = ("FSSPEC_", "LC_", "LD_", "MALLOC_", "OMP_", "OPENBLAS_", "OTEL_", "PREFECT_", "PYDANTIC_", "PYTHON")
"""Variables that count although no import is seen to read them: read before, by libraries in C, or with all others."""

_PACKAGE = Path(__file__).parents[2]
_PREFECT_FILES = (".env", "prefect.toml", "pyproject.toml")  # in the current directory
_PROCESS = Path("/proc/self")
_PROCESS_FILES = ("attr/current", "cgroup", "limits", "oom_score_adj")
_STATUS_LINES = (b"Cap", b"Cpus_allowed:", b"Gid:", b"Groups:", b"Mems_allowed:", b"NoNewPrivs:", b"Seccomp:", b"Uid:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What was there when a process was started; what the kernel says of it is looked up when it is asked for."""

    environment: Mapping[str, str]
    directory: Path  # where configuration is looked for
    search_path: Sequence[str]  # for modules, without the place of the program itself
    package: Path = _PACKAGE

    @classmethod
    def own(cls, directory: Path) -> "Circumstances":
        """Return those of this process, before it has imported anything, with a directory like its current one."""
        return cls(
            environment=dict(os.environ),
            directory=directory,
            search_path=sys.path[0 if sys.flags.safe_path else 1 :],
        )

    @property
    def configured_here(self) -> bool:
        """Whether the directory has any configuration, of Prefect or of this program."""
        return any((self.directory / name).exists() for name in (*_PREFECT_FILES, NAME))

    def digest(self) -> str:
        """Return a name for them: equal if code, configuration, variables, rights and limits are.

        Raises:
            OSError: The kernel does not tell.
        """
        seen = hashlib.sha256()
        for part in self._parts():
            seen.update(repr(part).encode("utf-8", "surrogateescape") + b"\0")
        return seen.hexdigest()[:32]

    def _parts(self) -> Iterator[object]:
        yield sys.version, sys.executable, sys.prefix
        yield sorted(item for item in self.environment.items() if item[0] in _NAMES or item[0].startswith(_FAMILIES))
        yield [(place, _stamp(place)) for place in self.search_path]
        yield sorted(_sources(str(self.package)))
        yield [(place, stamp) for place in self._configurations() if (stamp := _stamp(place))]
        yield os.getpriority(os.PRIO_PROCESS, 0), os.uname()
        yield from _kernel()

    def _configurations(self) -> Iterator[str]:
        yield from (str(self.directory / name) for name in _PREFECT_FILES)
        yield from map(str, configuration_paths(self.environment, self.directory))
        home = self.environment.get("PREFECT_HOME")
        prefect_home = Path(home).expanduser() if home else Path.home() / ".prefect"
        yield self.environment.get("PREFECT_PROFILES_PATH") or str(prefect_home / "profiles.toml")


def values_of(names: Iterable[str], environment: Mapping[str, str]) -> str:
    """Return a digest of what some variables are, or that they are not set."""
    said = repr([(name, environment.get(name)) for name in names if name not in OF_ONE_CALL])
    return hashlib.sha256(said.encode("utf-8", "surrogateescape")).hexdigest()


@contextlib.contextmanager
def reads_seen() -> Iterator[set[str]]:
    """Note which variables are read by name while this is open."""
    names: set[str] = set()

    class Seen(type(os.environ)):  # type: ignore[misc]  # it has no name of its own
        """The variables, noted when they are read."""

        def __getitem__(self, name: str) -> str:
            """Note the name; ``get``, ``in`` and ``os.getenv`` come here too."""
            names.add(name)
            return str(super().__getitem__(name))

    own = type(os.environ)
    os.environ.__class__ = Seen
    try:
        yield names
    finally:
        os.environ.__class__ = own


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - Path takes as long again
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _sources(directory: str) -> Iterator[tuple[str, int, int]]:
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.endswith(".py"):
                found = entry.stat()
                yield entry.path, found.st_mtime_ns, found.st_size
            elif entry.name != "__pycache__" and entry.is_dir():
                yield from _sources(entry.path)


def _kernel() -> Iterator[object]:
    """What the kernel holds against this process: control group, limits, rights, namespaces."""
    for name in _PROCESS_FILES:
        with contextlib.suppress(OSError):
            yield (_PROCESS / name).read_bytes()
    yield [line for line in (_PROCESS / "status").read_bytes().splitlines() if line.startswith(_STATUS_LINES)]
    yield str((_PROCESS / "root").readlink())
    yield sorted((link.name, str(link.readlink())) for link in (_PROCESS / "ns").iterdir())
