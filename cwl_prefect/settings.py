"""Settings of cwl-prefect, from the environment and files."""

import os
from pathlib import Path
from typing import get_args

from pydantic import Field, JsonValue, field_validator
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from cwl_prefect._lib.destinations import NO_URL, destination_of, names_url
from cwl_prefect._lib.locations import is_url
from cwl_prefect.choices import BackendName, CacheMode, Keep, OnError, Staging
from cwl_prefect.configuration import Configuration, configurations, demand_known

__all__ = ["EVERY_STEP", "BackendName", "CacheMode", "Keep", "OnError", "Settings", "origin"]


EVERY_STEP = "*"
"""Pattern of the names of all steps."""


def _default_home() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "cwl-prefect"


class Settings(BaseSettings):
    """Every setting, with its default.

    Each can be set as an environment variable ``CWL_PREFECT_<NAME>``, or by its name in a file ``cwl-prefect.toml`` of
    the current directory or of the user (``~/.config/cwl-prefect``).

    Raises:
        UsageError: Such a file cannot be used.

    Examples:
        >>> from cwl_prefect import Settings
        >>> settings = Settings(backend="local", max_cores=2)
        >>> settings.backend, settings.max_cores
        (<BackendName.LOCAL: 'local'>, 2.0)
    """

    model_config = SettingsConfigDict(env_prefix="CWL_PREFECT_", env_ignore_empty=True, frozen=True, extra="ignore")

    home: Path = Field(
        default_factory=_default_home,
        description="Directory for compiled plans, the local server and workspaces.",
    )
    backend: BackendName = Field(
        default=BackendName.AUTO,
        description="Where steps run; auto uses Docker for a step that asks for an image.",
    )
    steps_pool: str | None = Field(
        default=None,
        description="Work pool whose job template steps use; that of the run's deployment where none is given.",
    )
    step_overrides: dict[str, dict[str, JsonValue]] = Field(
        default={},
        description="What applies to single steps: JSON by pattern of step names, with resources, image, env and job "
        "variables of the work pool.",
    )
    allow_path: tuple[Path, ...] = Field(
        default=(), description="Directories beside a document's own tree whose files it may name, as JSON."
    )
    untrusted: bool = Field(
        default=False,
        description="Refuse what a document names outside of its own tree, and run tools in containers only; so it "
        "always is for documents that are read from a URL.",
    )
    storage_block: str | None = Field(
        default=None,
        pattern="^([a-z0-9-]+/)?[^/]+$",
        description="Block of Prefect with the credentials of a store, as s3-bucket/data or data.",
    )
    trs_root: str = Field(
        default="https://dockstore.org/api/ga4gh/trs/v2",
        pattern="^https?://",
        description="Registry (GA4GH TRS) that documents as #workflow/github.com/org/repo/name:version are of.",
    )
    require_containers: bool = Field(default=False, description="Run no tool as a process of this machine.")
    default_image: str | None = Field(
        default=None, description="Image for a tool that names none; without it such a tool runs where the run does."
    )
    workdir: Path | None = Field(
        default=None, description="Directory for workspaces of new runs; <home>/runs where none is given."
    )
    keep: Keep = Field(default=Keep.ON_FAILURE, description="When the workspaces of a run are kept.")
    keep_succeeded_days: float = Field(
        default=7.0, ge=0, description="Days that kept workspaces of a run that succeeded stay."
    )
    keep_unfinished_days: float = Field(
        default=30.0, ge=0, description="Days that workspaces of a run that can be resumed stay."
    )
    keep_marked_days: float = Field(
        default=7.0, ge=0, description="Days between marking workspaces for removal and removing them."
    )
    adopt_s: float = Field(
        default=3600.0,
        ge=0,
        description="Seconds that containers of a killed driver wait for being taken over by `runs resume`.",
    )
    least_free_mib: float = Field(
        default=256.0, ge=0, description="Free MiB where workspaces are, below which no call starts; 0: not looked at."
    )
    outdir: Path | str | None = Field(
        default=None,
        description="Destination of results: a directory or URL, with {run_id}, {run_name}, {deployment}; where none "
        "is given, the current directory for `run`, and <home>/outputs/<run> for Python and deployments.",
    )
    overwrite: bool = Field(
        default=False, description="Replace objects at the URL that results go to; otherwise none is replaced."
    )
    stage_in: Staging | None = Field(
        default=None,
        description="What a Directory at the URL of a document is: stac, the catalog that a STAC item, collection or "
        "catalog leads to.",
    )
    assets: tuple[str, ...] = Field(
        default=(), description="Assets of STAC items that are fetched, JSON of their keys; all where none is given."
    )
    allow_url: tuple[str, ...] = Field(
        default=(),
        description="URLs below which STAC catalogs may name data, beside the web and their own bucket, and whose "
        "hosts documents that nobody trusts may name although they are in the network of this machine, as JSON.",
    )
    max_stage_in_mib: float = Field(
        default=102_400.0, gt=0, description="Most MiB that the assets of one STAC catalog may have together."
    )
    stage_out: Staging | None = Field(
        default=None,
        description="What results with a catalog.json become: stac, a STAC catalog with a collection and final links.",
    )
    directory_stage_in: Path | None = Field(
        default=None, description="CWL tool that makes a Directory of a URL; inputs of type Directory become URLs."
    )
    directory_stage_out: Path | None = Field(
        default=None, description="CWL tool that takes each Directory of the results away; what it gives is the result."
    )
    nested_flows: int = Field(
        default=5,
        ge=0,
        description="A workflow with at most so many unscattered subworkflows shows each as a flow run of its own.",
    )
    on_error: OnError = Field(default=OnError.STOP, description="What a failed step does to the others.")
    priorities: dict[str, int] = Field(
        default={}, description="JSON by pattern of step names: higher goes first where calls wait; 0 by default."
    )
    callbacks: Path | None = Field(default=None, description="File of callbacks: what to call when something happens.")
    record: bool = Field(
        default=True,
        description="Record what each call asks for, uses and looks up in the call cache, in <home>/reports.",
    )
    artifacts: bool = Field(
        default=True, description="Show progress, steps, outputs and a summary of runs as artifacts in Prefect."
    )
    prometheus_directory: Path | None = Field(
        default=None, description="Directory of node_exporter's textfile collector, for metrics of the last runs."
    )
    agent: str | None = Field(
        default=None,
        description="Who runs workflows, for crates: a name, and an address such as an ORCID in angle brackets.",
    )
    license: str | None = Field(
        default=None, description="Licence of what is in crates: an address, as of SPDX, or a sentence."
    )
    observers: tuple[str, ...] = Field(
        default=(),
        description="Observers of every run: JSON of names, each `module:name` or an entry point of the group "
        "cwl_prefect.observers.",
    )
    traceparent: bool = Field(
        default=False,
        description="Tell each tool the span of its call by the variable TRACEPARENT (W3C Trace Context).",
    )
    circuit_breaker: int | None = Field(
        default=None, ge=1, description="With on_error=continue, end a scatter once its first so many calls fail alike."
    )
    max_cores: float | None = Field(
        default=None, gt=0, description="Cores that steps may use together; all of the machine where none is given."
    )
    max_ram_mib: float | None = Field(default=None, gt=0, description="Memory in MiB that steps may use together.")
    strict_limits: bool = Field(
        default=False, description="Hold containers to the cores and memory that their step asks for."
    )
    docker_build_network: bool = Field(
        default=False, description="Let the commands of a document's dockerFile use a network while they build."
    )
    max_calls: int = Field(
        default=128, ge=1, description="Tool calls in hand at once: prepared, waiting for resources or running."
    )
    group_threshold: int = Field(
        default=100, ge=1, description="A scatter wider than this groups several calls into one task run."
    )
    group_size: int = Field(default=100, ge=1, description="Calls in one task run of a wide scatter.")
    batch_parallel: int = Field(default=2, ge=1, description="Runs of a batch at once; they share the machine.")
    retries: int = Field(default=0, ge=0, description="Further tries of a call that fails with a temporaryFailCode.")
    memory_retries: int = Field(
        default=2, ge=0, description="Further tries of a call that was killed for want of memory, each with more of it."
    )
    memory_factor: float = Field(default=2.0, gt=1, description="How much more memory each of these tries asks for.")
    memory_most_mib: float | None = Field(
        default=None, gt=0, description="Most memory in MiB that they ask for; all that the run may use if unset."
    )
    infrastructure_retries: int = Field(
        default=3, ge=0, description="Further tries of a call that was evicted, preempted, or lost with its machine."
    )
    retry_delay_s: float = Field(
        default=1.0, ge=0, description="Seconds before the first further try; doubles each time, give or take a third."
    )
    retry_delay_most_s: float = Field(default=60.0, ge=0, description="Most seconds before a further try.")
    step_timeout_s: float | None = Field(
        default=None, gt=0, description="Time limit in seconds of a step without a ToolTimeLimit."
    )
    run_timeout_s: float | None = Field(default=None, gt=0, description="Time limit in seconds of a whole run.")
    log_tail_lines: int = Field(default=20, ge=0, description="Last lines of a failed tool's stderr or stdout shown.")
    log_lines: int = Field(
        default=100, ge=0, description="Lines of each tool call's stderr sent to the run's log; files hold all."
    )
    kubernetes_volume: str | None = Field(
        default=None,
        description="Volume that steps on Kubernetes share with the run, as pvc:NAME, hostPath:/DIRECTORY or "
        "nfs:SERVER:/EXPORT; found by the run's own pod or the pool's template where none is given.",
    )
    kubernetes_volume_path: Path | None = Field(
        default=None,
        description="Where that volume is seen by the run; for a hostPath its own path, else the directory for "
        "workspaces where none is given.",
    )
    kubernetes_namespace: str | None = Field(
        default=None, description="Namespace of steps on Kubernetes without a pool; default where none is given."
    )
    kubernetes_helper_image: str = Field(
        default="busybox:stable-musl",
        description="Image with a static busybox at /bin/busybox, which connects the streams of steps to files.",
    )
    kubernetes_images_by_digest: bool = Field(
        default=True,
        description="Run pods on Kubernetes by the digest that an image's tag stands for; without it by the tag, "
        "uncached, as where nodes can pull no digest.",
    )
    kubernetes_gpu: str = Field(
        default="nvidia.com/gpu", description="What Kubernetes calls the devices that CUDARequirement asks for."
    )
    kubernetes_limits: bool = Field(
        default=True, description="Make what a step asks for also the most that it may use on Kubernetes."
    )
    kubernetes_start_timeout_s: float = Field(
        default=600.0,
        gt=0,
        description="Seconds that a step may wait for a node with room or for quota, while nothing else runs, or for "
        "its volumes.",
    )
    kubernetes_image_grace_s: float = Field(
        default=20.0, ge=0, description="Seconds for which a failing image pull or container is tried again."
    )
    workspaces: str | None = Field(
        default=None,
        description="Place in an object store (s3://BUCKET/PREFIX) by which files of steps on Kubernetes go to pods "
        "and come from them, so that no volume is shared.",
    )
    workspaces_secret: str | None = Field(
        default=None, description="Secret with the variables of credentials by which pods use that store."
    )
    workspaces_image: str = Field(
        default="python:3-slim", description="Image with Python 3.11 or later, which uses that store in pods."
    )
    javascript_timeout_s: float = Field(default=20.0, gt=0, description="Time limit in seconds of one expression.")
    javascript_memory_mib: int = Field(default=128, ge=8, description="Memory limit in MiB of the expression engine.")
    cache: bool = Field(default=True, description="Reuse the outputs of calls that ran before with the same inputs.")
    cache_url: str | None = Field(
        default=None,
        description="Where outputs of calls are kept: a directory, or a URL of fsspec; <home>/cache by default.",
    )
    cache_mode: CacheMode = Field(
        default=CacheMode.CONTENT,
        description="Whether input files count by their content, or by path, size and time of change.",
    )
    cache_expiration_s: float | None = Field(
        default=None, gt=0, description="Age in seconds from which outputs of calls are not reused."
    )
    refresh: tuple[str, ...] = Field(
        default=(), description="Steps that run although they are cached; `align` means all that is inside it too."
    )
    plan_cache: bool = Field(default=True, description="Keep compiled plans between runs.")
    server_idle_s: float = Field(
        default=1800.0, ge=0, description="Seconds without a run after which the local server ends; 0: never."
    )
    standby_idle_s: float = Field(
        default=900.0,
        ge=0,
        description="Seconds that the process waits which a run leaves behind so that the next command starts at once; "
        "0: none is left.",
    )
    server_start_timeout_s: float = Field(default=90.0, gt=0, description="Seconds to wait for the local server.")
    server_port: int | None = Field(
        default=None, ge=1, le=65535, description="Port of the local server; a free one where none is given."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as pydantic-settings calls it
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return where values come from, the strongest first: what is given, the environment, files."""
        files = (InitSettingsSource(settings_cls, found.placed(_paths())) for found in _configured())
        return (init_settings, env_settings, *files)

    @field_validator("callbacks", "directory_stage_in", "directory_stage_out", "outdir")
    @classmethod
    def _absolute(cls, path: Path | str | None) -> Path | str | None:
        """Let a path mean the same to a run that is resumed from another directory."""
        return path.absolute() if isinstance(path, Path) else path

    @field_validator("allow_path")
    @classmethod
    def _absolute_paths(cls, paths: tuple[Path, ...]) -> tuple[Path, ...]:
        return tuple(path.expanduser().absolute() for path in paths)

    @field_validator("outdir", mode="before")
    @classmethod
    def _destination(cls, place: object) -> object:
        return destination_of(place) if isinstance(place, str | Path) else place

    @field_validator("workdir", mode="before")
    @classmethod
    def _of_this_machine(cls, path: object) -> object:
        if isinstance(path, str | Path) and names_url(path):
            raise ValueError(f"it is a URL; {NO_URL}")
        return path

    @field_validator("cache_url")
    @classmethod
    def _absolute_directory(cls, place: str | None) -> str | None:
        return place if place is None or is_url(place) else str(Path(place).expanduser().absolute())

    @property
    def runs(self) -> Path:
        """Directory for workspaces."""
        return self.workdir if self.workdir is not None else self.own_runs

    @property
    def own_runs(self) -> Path:
        """Directory for workspaces where no other is given."""
        return self.home / "runs"

    @property
    def workdirs(self) -> Path:
        """Directory of links to the other directories that had workspaces."""
        return self.home / "workdirs"

    @property
    def checksums(self) -> Path:
        """File that remembers checksums of inputs."""
        return self.home / "checksums.sqlite"

    @property
    def reports(self) -> Path:
        """Directory with one for each run: its trace, what it looked up in the call cache, its report."""
        return self.home / "reports"

    @property
    def plans(self) -> Path:
        """Directory for compiled plans."""
        return self.home / "plans"


def origin(name: str) -> str | None:
    """Return what sets a setting of this process, a variable or a file; None where it has its default.

    Raises:
        UsageError: A file of settings cannot be used.
    """
    variable = f"CWL_PREFECT_{name.upper()}"
    if os.environ.get(variable):
        return variable
    return next((str(file.path) for file in _configured() if name in file.values), None)


def _configured() -> tuple[Configuration, ...]:
    files = configurations(os.environ, Path())
    demand_known(files, Settings.model_fields)
    return files


def _paths() -> set[str]:
    kinds = {name: field.annotation for name, field in Settings.model_fields.items()}
    return {"cache_url", *(name for name, kind in kinds.items() if Path in (kind, *get_args(kind)))}
