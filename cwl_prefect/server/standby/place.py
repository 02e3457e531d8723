"""Where standby processes are found: sockets in a directory that is the user's own, on this machine alone."""

import contextlib
import errno
import json
import os
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cwl_prefect.configuration import configurations
from cwl_prefect.errors import UsageError
from cwl_prefect.server.standby.call import STANDARD_STREAMS
from cwl_prefect.server.standby.circumstances import Circumstances, values_of

IDLE_S = 900.0
IDLE = "standby_idle_s"
IDLE_VARIABLE = "CWL_PREFECT_STANDBY_IDLE_S"

_LONGEST = 107  # bytes of a socket's path: unix(7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the process is, or would be, that stands by in some circumstances."""

    directory: Path
    name: str
    circumstances: Circumstances

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.directory / f"{self.name}.sock"

    @property
    def record(self) -> Path:
        """What it holds locked while it lives, and where it says who it is."""
        return self.directory / f"{self.name}.json"

    @property
    def idle_s(self) -> float:
        """How long it waits for a call; 0 where none is wanted."""
        return idle_s(self.circumstances.environment, self.circumstances.directory)

    def saw(self, environment: Mapping[str, str]) -> bool:
        """Check whether all that was read when it was loaded is the same in an environment."""
        try:
            said = json.loads(self.record.read_bytes())
            return bool(values_of(said["names"], environment) == said["values"])
        except (OSError, ValueError, KeyError, TypeError):
            return False  # there is none, or it is still loading


def own_place() -> Place | None:
    """Return the place for the circumstances of this process, or None where none may stand by for it.

    None may where the setting says so, where this process was started with options for Python or is to read open files
    of its own, and on systems other than Linux.
    """
    if sys.platform != "linux" or sys.orig_argv[1:2] != sys.argv[:1] or not idle_s(os.environ, Path()):
        return None
    if not _can_be_handed_over():
        return None
    try:
        return place_of(Circumstances.own(Path.cwd()))
    except OSError:
        return None  # what does the work says what is wrong


def place_of(circumstances: Circumstances) -> Place:
    """Return the place for circumstances.

    Raises:
        OSError: They are not told, or there is no directory for it that only this user can look into, or its path is
            too long for a socket.
    """
    directory = private_directory(circumstances.environment)
    place = Place(directory=directory, name=circumstances.digest(), circumstances=circumstances)
    if len(os.fsencode(place.socket)) > _LONGEST:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), str(place.socket))
    return place


def private_directory(environment: Mapping[str, str]) -> Path:
    """Return the directory for sockets and records, made where there is none.

    Raises:
        OSError: It cannot be made, or others than this user may look into it.
    """
    directory = Path(environment.get("XDG_RUNTIME_DIR") or "/tmp", f"cwl-prefect-{os.getuid()}")  # noqa: S108
    with contextlib.suppress(FileExistsError):
        directory.mkdir(mode=0o700)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise PermissionError(f"{directory} is not private")
    return directory


def idle_s(environment: Mapping[str, str], directory: Path) -> float:
    """Return how long a process stands by for a call; 0 where none is wanted, or where the setting is no number."""
    try:
        told = environment.get(IDLE_VARIABLE)
        files = configurations(environment, directory) if told is None else ()
        configured = next((file.values[IDLE] for file in files if IDLE in file.values), IDLE_S)
        return max(float(str(configured if told is None else told)), 0.0)
    except (ValueError, UsageError):
        return 0.0  # what reads the settings says so


def _can_be_handed_over() -> bool:
    """Check whether the standard streams are open, and no other open file is named, as the shell does for `<(...)`."""
    opened = {int(name) for name in os.listdir("/proc/self/fd")}  # noqa: PTH208 - names are all that is needed
    return opened.issuperset(STANDARD_STREAMS) and not any("/fd/" in argument for argument in sys.argv)
