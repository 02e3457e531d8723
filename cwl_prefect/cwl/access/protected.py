"""What no run reads of a machine: the system's own files, credentials, and what this program keeps for itself."""

import os
import pwd
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

from cwl_prefect.settings import Settings

_SYSTEM = ("/proc", "/sys", "/dev")
_MEMORY = "/dev/shm"  # noqa: S108 - a file system as any other
_CREDENTIALS = (
    ".aws",
    ".azure",
    ".boto",
    ".config/gcloud",
    ".config/gh",
    ".config/git/credentials",
    ".config/rclone",
    ".docker/config.json",
    ".git-credentials",
    ".globus",
    ".gnupg",
    ".kube",
    ".local/share/keyrings",
    ".my.cnf",
    ".netrc",
    ".npmrc",
    ".password-store",
    ".pgpass",
    ".prefect",
    ".pypirc",
    ".s3cfg",
    ".ssh",
    ".vault-token",
)
_SECRETS = ("/run/secrets", "/var/run/secrets")  # of containers and pods
_HOME = re.compile(r"/root(?=/)|/(?:home|Users)/[^/]+(?=/)")
_RUN = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?:/|$)|\.")


def system(path: str) -> str | None:
    """Return why a path is never read: the kernel answers there, or devices do."""
    below = any(path == place or path.startswith(f"{place}/") for place in _SYSTEM)
    return "it belongs to the system, not to any run" if below and not path.startswith(f"{_MEMORY}/") else None


def credentials(path: str) -> str | None:
    """Return why a path is read only where a person named it: programs keep credentials there."""
    found = any(_lies_at(path, place) for place in _SECRETS) or any(
        _lies_at(path[len(home) + 1 :], place) for home in _homes_above(path) for place in _CREDENTIALS
    )
    return "programs keep credentials there; a job order has to name the very file" if found else None


def held_by(directory: str) -> str | None:
    """Return why a directory is not read as a whole: what it holds of this machine is nobody's input."""
    above = "/" if directory == "/" else f"{directory}/"
    for place in _SYSTEM:
        if place.startswith(above):
            return f"it holds {place}"
    for home in homes():
        for name in _CREDENTIALS:
            place = f"{home}/{name}"
            if place.startswith(above) and os.path.exists(place):  # noqa: PTH110 - a text
                return f"it holds {place}, where programs keep credentials"
    return None


def homes() -> tuple[str, ...]:
    """Return the home of whoever runs this, as the environment and as the system has it."""
    return _homes(os.path.expanduser("~"))  # noqa: PTH111 - an answer also for a user without any


@cache
def _homes(stated: str) -> tuple[str, ...]:
    found = {os.path.realpath(stated)} if stated.startswith("/") else set()
    with suppress(KeyError):
        found.add(os.path.realpath(pwd.getpwuid(os.getuid()).pw_dir))
    return tuple(sorted(found - {"/"}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Private:
    """What this program keeps for itself.

    Attributes:
        places: Files and directories.
        secret: The one of them that holds a secret.
        runs: Directories that hold runs of others.
    """

    places: tuple[str, ...] = ()
    secret: str | None = None
    runs: tuple[str, ...] = ()

    @classmethod
    def of(cls, settings: Settings) -> "Private":
        """Return what the settings say."""
        home = os.path.realpath(settings.home)
        names = (
            "server",
            "plans",
            "cache",
            "checksums.sqlite",
            "reports",
            "downloads",
            "workdirs",
            "kubernetes",
            "logs",
        )
        return cls(
            places=tuple(f"{home}/{name}" for name in names),
            secret=f"{home}/server",
            runs=tuple({os.path.realpath(settings.runs), os.path.realpath(settings.own_runs)}),
        )

    def holding(self, path: str) -> str | None:
        """Return why a path is read only where a person named it: this program keeps its own files there."""
        of_run = any(path.startswith(f"{runs}/") and _RUN.match(path[len(runs) + 1 :]) for runs in self.runs)
        if of_run or any(_lies_at(path, place) for place in self.places):
            return "cwl-prefect keeps its own files there; a job order has to name the very file"
        return None

    def held_by(self, directory: str) -> str | None:
        """Return why a directory is not read as a whole: it holds the secret of the local server."""
        if self.secret is not None and _lies_at(self.secret, directory) and os.path.exists(self.secret):  # noqa: PTH110
            return f"it holds {self.secret}, which is cwl-prefect's own"
        return None


def _homes_above(path: str) -> set[str]:
    found = {home for home in homes() if path.startswith(f"{home}/")}
    matched = _HOME.match(path)
    return found | ({matched[0]} if matched else set())


def _lies_at(path: str, place: str) -> bool:
    return path == place or path.startswith(f"{place}/")
