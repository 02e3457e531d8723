"""What some settings may be, in a module of its own: options of commands say so without importing all settings."""

from enum import StrEnum


class BackendName(StrEnum):
    """Where steps run."""

    AUTO = "auto"
    LOCAL = "local"
    DOCKER = "docker"
    KUBERNETES = "kubernetes"


class OnError(StrEnum):
    """What a failed step does to the others."""

    STOP = "stop"
    FINISH = "finish"
    CONTINUE = "continue"


class Keep(StrEnum):
    """When workspaces are kept."""

    NEVER = "never"
    ON_FAILURE = "on-failure"
    ALWAYS = "always"


class CacheMode(StrEnum):
    """What tells whether a file that no step made is still the same."""

    CONTENT = "content"
    METADATA = "metadata"


class Staging(StrEnum):
    """What data that is staged in or out may be besides files and directories."""

    STAC = "stac"
