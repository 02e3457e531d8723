"""Options of the command ``run``, and how they become settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cwl_prefect.choices import BackendName, Keep, OnError, Staging
from cwl_prefect.choices import CacheMode as Mode
from cwl_prefect.errors import UsageError


class UnknownFlagError(UsageError):
    """What stands on a command line is no flag.

    Attributes:
        flag: It, with its dashes.
    """

    def __init__(self, message: str, *, flag: str, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.flag = flag


FILES = "Files"
PART = "A part of the workflow"
TRUST = "Trust"
LIMITS = "Limits"
FAILURES = "Failures"
CACHE = "Call cache"
MANY = "Many runs"
RUN = "In Prefect"

SETTINGS: Mapping[str, str] = {
    "workdir": "workdir",
    "default_image": "default_image",
    "keep": "keep",
    "backend": "backend",
    "steps_pool": "steps_pool",
    "max_cores": "max_cores",
    "max_ram": "max_ram_mib",
    "parallel": "max_calls",
    "timeout": "run_timeout_s",
    "step_timeout": "step_timeout_s",
    "on_error": "on_error",
    "retries": "retries",
    "callbacks": "callbacks",
    "batch_parallel": "batch_parallel",
    "cache": "cache_url",
    "cache_mode": "cache_mode",
    "trs_root": "trs_root",
    "storage_block": "storage_block",
    "stage_in": "stage_in",
    "stage_out": "stage_out",
    "directory_stage_in": "directory_stage_in",
    "directory_stage_out": "directory_stage_out",
}
"""Options whose values become settings as they are."""


class LogFormatChoice(StrEnum):
    """How a run writes on standard error."""

    TEXT = "text"
    JSON = "json"


StepOverrides = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="YAML or JSON by pattern of step names: resources, image, env and others."),
]
RequireContainers = Annotated[
    bool,
    typer.Option("--require-containers", help="Run no tool as a process of this machine.", rich_help_panel=TRUST),
]
DefaultImage = Annotated[
    str | None,
    typer.Option(metavar="IMAGE", help="Image for a tool that names none.", rich_help_panel=TRUST),
]
LogFormat = Annotated[
    LogFormatChoice, typer.Option(help="What standard error is written as: text, or a JSON object a line.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What can be given to ``run``, in the order of its help; what is given is found in the context."""

    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="DOCUMENT [JOB_ORDER] [--INPUT VALUE]...", help="What to run, and with which inputs."),
    ] = None
    target: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Run only what this output or step needs; repeatable.", rich_help_panel=PART),
    ] = None
    single_step: Annotated[
        str | None,
        typer.Option(
            metavar="STEP", help="Run only this step, as prepare.align, on its own inputs.", rich_help_panel=PART
        ),
    ] = None
    outdir: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|URL",
            help="Where results go; CWL_PREFECT_OUTDIR, or the current directory, by default.",
            rich_help_panel=FILES,
        ),
    ] = None
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace objects at the URL that results go to.", rich_help_panel=FILES),
    ] = False
    storage_block: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Block of Prefect with the credentials of a store, as s3-bucket/data.",
            rich_help_panel=FILES,
        ),
    ] = None
    stage_in: Annotated[
        Staging | None,
        typer.Option(
            help="What a Directory at the URL of a document is: the catalog that it leads to.", rich_help_panel=FILES
        ),
    ] = None
    assets: Annotated[
        str | None,
        typer.Option(
            metavar="KEY,...", help="Assets of STAC items that are fetched; all by default.", rich_help_panel=FILES
        ),
    ] = None
    stage_out: Annotated[
        Staging | None,
        typer.Option(help="Deliver results with a catalog.json as a catalog with a collection.", rich_help_panel=FILES),
    ] = None
    directory_stage_in: Annotated[
        Path | None,
        typer.Option(metavar="TOOL.cwl", help="Tool that makes a Directory of a URL.", rich_help_panel=FILES),
    ] = None
    directory_stage_out: Annotated[
        Path | None,
        typer.Option(
            metavar="TOOL.cwl", help="Tool that takes a Directory of the results away.", rich_help_panel=FILES
        ),
    ] = None
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Report of the run, as HTML.", rich_help_panel=FILES)
    ] = None
    timeline: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Timeline of its calls, as HTML.", rich_help_panel=FILES)
    ] = None
    trace: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What each call used, as TSV.", rich_help_panel=FILES)
    ] = None
    dag: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Graph with the states of its calls: .svg, .html or .dot.", rich_help_panel=FILES
        ),
    ] = None
    provenance: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR|F.zip",
            help="Provenance Run Crate (RO-Crate): what ran, every call, and its data.",
            rich_help_panel=FILES,
        ),
    ] = None
    prices: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="YAML with prices, by which reports say what was paid.", rich_help_panel=FILES
        ),
    ] = None
    workdir: Annotated[Path | None, typer.Option(help="Where workspaces are made.", rich_help_panel=FILES)] = None
    keep: Annotated[
        Keep | None, typer.Option("--keep", help="When workspaces are kept afterwards.", rich_help_panel=FILES)
    ] = None
    backend: Annotated[BackendName | None, typer.Option(help="Where steps run.")] = None
    steps_pool: Annotated[
        str | None, typer.Option(metavar="POOL", help="Work pool whose job template the steps' containers use.")
    ] = None
    step_overrides: StepOverrides = None
    no_container: Annotated[
        bool, typer.Option("--no-container", help="Run every step as a process of this machine, as --backend local.")
    ] = False
    allow_path: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="Let the document name files there too; repeatable.", rich_help_panel=TRUST),
    ] = None
    untrusted: Annotated[
        bool,
        typer.Option(
            "--untrusted",
            help="Refuse what the document names outside of its own tree; containers only.",
            rich_help_panel=TRUST,
        ),
    ] = False
    require_containers: RequireContainers = False
    trs_root: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Registry that #workflow/… is of; Dockstore by default.", rich_help_panel=TRUST
        ),
    ] = None
    default_image: DefaultImage = None
    max_cores: Annotated[
        float | None, typer.Option(help="Cores that steps may use together.", rich_help_panel=LIMITS)
    ] = None
    max_ram: Annotated[
        str | None,
        typer.Option(help="Memory that steps may use together: MiB, or with a unit as 4G.", rich_help_panel=LIMITS),
    ] = None
    parallel: Annotated[int | None, typer.Option(help="Tool calls in hand at once.", rich_help_panel=LIMITS)] = None
    timeout: Annotated[
        float | None, typer.Option(help="Seconds that the whole run may take.", rich_help_panel=LIMITS)
    ] = None
    step_timeout: Annotated[
        float | None, typer.Option(help="Seconds that a tool without a ToolTimeLimit may take.", rich_help_panel=LIMITS)
    ] = None
    on_error: Annotated[
        OnError | None,
        typer.Option("--on-error", help="What a failed step does to the others.", rich_help_panel=FAILURES),
    ] = None
    retries: Annotated[
        int | None,
        typer.Option(help="Further tries of a call that fails with a temporaryFailCode.", rich_help_panel=FAILURES),
    ] = None
    callbacks: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What to call when something happens, as YAML.", rich_help_panel=FAILURES),
    ] = None
    name: Annotated[
        str | None,
        typer.Option(
            help="Name of the flow run; of a batch, what the names of its runs begin with.", rich_help_panel=RUN
        ),
    ] = None
    tag: Annotated[list[str] | None, typer.Option(help="Tag of the flow run; repeatable.", rich_help_panel=RUN)] = None
    batch: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE...",
            help="A run for each of these job orders, or each row of a CSV, TSV or JSONL table.",
            rich_help_panel=MANY,
        ),
    ] = None
    batch_parallel: Annotated[int | None, typer.Option(help="Runs of the batch at once.", rich_help_panel=MANY)] = None
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Run every call, and keep nothing for later runs.", rich_help_panel=CACHE)
    ] = False
    refresh: Annotated[
        list[str] | None,
        typer.Option(metavar="STEP", help="Run this step although it is cached; repeatable.", rich_help_panel=CACHE),
    ] = None
    cache: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Where outputs of calls are kept: a directory or URL.", rich_help_panel=CACHE),
    ] = None
    cache_mode: Annotated[
        Mode | None,
        typer.Option(help="What tells whether an input file is still the same.", rich_help_panel=CACHE),
    ] = None
    watch: Annotated[
        bool,
        typer.Option(
            "--watch", help="Run again when a document or input is saved, until Ctrl-C.", rich_help_panel=MANY
        ),
    ] = False
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only say what would run, what is cached, and what each step asks for."),
    ] = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say more: every call with its command, image and files, and logs.")
    ] = False
    log_format: LogFormat = LogFormatChoice.TEXT
    show_help: Annotated[
        bool, typer.Option("--help", "-h", help="Show this, and the inputs of DOCUMENT where it is given.")
    ] = False


def settings_of(given: Given) -> dict[str, object]:
    """Return the settings that the options ask for, by name; None stands for what was not given."""
    chosen = {setting: getattr(given, option) for option, setting in SETTINGS.items()}
    if given.no_container:
        chosen["backend"] = BackendName.LOCAL
    if given.no_cache:
        chosen["cache"] = False
    chosen |= {name: True for name in ("untrusted", "require_containers", "overwrite") if getattr(given, name)}
    chosen["assets"] = None if given.assets is None else tuple(filter(None, given.assets.split(",")))
    chosen |= {name: tuple(getattr(given, name) or ()) or None for name in ("allow_path", "refresh")}
    return chosen
