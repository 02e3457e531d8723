"""What a Docker engine tells of itself and of what it holds, as far as it is read."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from pydantic import AliasPath, BaseModel, Field, JsonValue, TypeAdapter

NO_LABELS: Mapping[str, str] = {}
ANSWER: TypeAdapter[dict[str, JsonValue]] = TypeAdapter(dict[str, JsonValue])


class EngineVersion(BaseModel):
    """Which engine answers."""

    api: str = Field(validation_alias="ApiVersion")
    version: str = Field("unknown", validation_alias="Version")


class EngineInfo(BaseModel):
    """What an engine can do."""

    security_options: Sequence[str] | None = Field(None, validation_alias="SecurityOptions")
    log_drivers: Sequence[str] | None = Field(None, validation_alias=AliasPath("Plugins", "Log"))

    @property
    def rootless(self) -> bool:
        """Whether it runs as the user, so that root inside is the user outside."""
        return any("rootless" in option for option in self.security_options or ())


class ImageDescription(BaseModel):
    """An image that an engine has."""

    id: str = Field(validation_alias="Id")  # digest of its layers and configuration, whatever its tags
    name: str = Field("", validation_alias="Name")  # by which it was asked for
    repo_digests: Sequence[str] | None = Field(None, validation_alias="RepoDigests")
    words: Sequence[str] | None = Field(None, validation_alias=AliasPath("Config", "Entrypoint"))
    labels: Mapping[str, str] | None = Field(None, validation_alias=AliasPath("Config", "Labels"))

    @property
    def digests(self) -> frozenset[str]:
        """All digests that name it: its own, and those that registries know it by."""
        known = (reference.rpartition("@")[2] for reference in self.repo_digests or ())
        return frozenset(filter(None, (self.id, *known)))

    @property
    def entry_point(self) -> tuple[str, ...]:
        """The words that it puts before every command."""
        return tuple(self.words or ())


class Listed(BaseModel):
    """A container among others."""

    id: str = Field(validation_alias="Id")
    labels: Mapping[str, str] = Field(NO_LABELS, validation_alias="Labels")


LISTED = TypeAdapter(list[Listed])


class Ended(BaseModel):
    """A container that has just ended."""

    exit_code: int = Field(validation_alias="StatusCode")


class Event(BaseModel):
    """Something that happened to a container."""

    action: str = Field(validation_alias="Action")


class MountPoint(BaseModel):
    """A directory that a container sees."""

    source: str = Field("", validation_alias="Source")
    destination: str = Field("", validation_alias="Destination")


class Description(BaseModel):
    """A container: what it was made for, and what it does."""

    id: str = Field(validation_alias="Id")
    image: str | None = Field(None, validation_alias="Image")
    labels: Mapping[str, str] | None = Field(None, validation_alias=AliasPath("Config", "Labels"))
    open_stdin: bool = Field(default=False, validation_alias=AliasPath("Config", "OpenStdin"))
    memory_limit: int = Field(0, validation_alias=AliasPath("HostConfig", "Memory"))
    log_driver: str = Field("", validation_alias=AliasPath("HostConfig", "LogConfig", "Type"))
    status: str = Field("", validation_alias=AliasPath("State", "Status"))
    started_at: str = Field("0001", validation_alias=AliasPath("State", "StartedAt"))
    exit_code: int = Field(0, validation_alias=AliasPath("State", "ExitCode"))
    out_of_memory: bool = Field(default=False, validation_alias=AliasPath("State", "OOMKilled"))
    error: str = Field("", validation_alias=AliasPath("State", "Error"))
    mounts: Sequence[MountPoint] = Field((), validation_alias="Mounts")

    @property
    def started(self) -> datetime | None:
        """When it was started; None: it never was."""
        if self.started_at.startswith("0001"):
            return None
        # The engine writes nanoseconds, of which Python reads micro.
        return datetime.fromisoformat(self.started_at.rstrip("Z").partition(".")[0]).replace(tzinfo=UTC)
