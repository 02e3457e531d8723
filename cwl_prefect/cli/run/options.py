"""Options of the command ``run``, and how they become settings."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cwl_prefect.choices import BackendName, Keep, OnError, Staging
from cwl_prefect.choices import CacheMode as Mode

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


Arguments = Annotated[
    list[str] | None,
    typer.Argument(metavar="DOCUMENT [JOB_ORDER] [--INPUT VALUE]...", help="What to run, and with which inputs."),
]
Outdir = Annotated[
    str | None,
    typer.Option(
        metavar="DIR|URL",
        help="Where results go; CWL_PREFECT_OUTDIR, or the current directory, by default.",
        rich_help_panel=FILES,
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace objects at the URL that results go to.", rich_help_panel=FILES),
]
StorageBlock = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Block of Prefect with the credentials of a store, as s3-bucket/data.",
        rich_help_panel=FILES,
    ),
]
StageIn = Annotated[
    Staging | None,
    typer.Option(
        help="What a Directory at the URL of a document is: the catalog that it leads to.", rich_help_panel=FILES
    ),
]
Assets = Annotated[
    str | None,
    typer.Option(
        metavar="KEY,...", help="Assets of STAC items that are fetched; all by default.", rich_help_panel=FILES
    ),
]
StageOut = Annotated[
    Staging | None,
    typer.Option(help="Deliver results with a catalog.json as a catalog with a collection.", rich_help_panel=FILES),
]
DirectoryStageIn = Annotated[
    Path | None,
    typer.Option(metavar="TOOL.cwl", help="Tool that makes a Directory of a URL.", rich_help_panel=FILES),
]
DirectoryStageOut = Annotated[
    Path | None,
    typer.Option(metavar="TOOL.cwl", help="Tool that takes a Directory of the results away.", rich_help_panel=FILES),
]
Report = Annotated[Path | None, typer.Option(metavar="FILE", help="Report of the run, as HTML.", rich_help_panel=FILES)]
Timeline = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Timeline of its calls, as HTML.", rich_help_panel=FILES)
]
Trace = Annotated[Path | None, typer.Option(metavar="FILE", help="What each call used, as TSV.", rich_help_panel=FILES)]
Dag = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Graph with the states of its calls: .svg, .html or .dot.", rich_help_panel=FILES
    ),
]
Provenance = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR|F.zip",
        help="Provenance Run Crate (RO-Crate): what ran, every call, and its data.",
        rich_help_panel=FILES,
    ),
]
Prices = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="YAML with prices, by which reports say what was paid.", rich_help_panel=FILES),
]
Workdir = Annotated[Path | None, typer.Option(help="Where workspaces are made.", rich_help_panel=FILES)]
KeepWhen = Annotated[
    Keep | None, typer.Option("--keep", help="When workspaces are kept afterwards.", rich_help_panel=FILES)
]
Backend = Annotated[BackendName | None, typer.Option(help="Where steps run.")]
StepsPool = Annotated[
    str | None, typer.Option(metavar="POOL", help="Work pool whose job template the steps' containers use.")
]
StepOverrides = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="YAML or JSON by pattern of step names: resources, image, env and others."),
]
NoContainer = Annotated[
    bool, typer.Option("--no-container", help="Run every step as a process of this machine, as --backend local.")
]
AllowPath = Annotated[
    list[Path] | None,
    typer.Option(metavar="DIR", help="Let the document name files there too; repeatable.", rich_help_panel=TRUST),
]
Untrusted = Annotated[
    bool,
    typer.Option(
        "--untrusted",
        help="Refuse what the document names outside of its own tree; containers only.",
        rich_help_panel=TRUST,
    ),
]
RequireContainers = Annotated[
    bool,
    typer.Option("--require-containers", help="Run no tool as a process of this machine.", rich_help_panel=TRUST),
]
TrsRoot = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Registry that #workflow/… is of; Dockstore by default.", rich_help_panel=TRUST),
]
DefaultImage = Annotated[
    str | None,
    typer.Option(metavar="IMAGE", help="Image for a tool that names none.", rich_help_panel=TRUST),
]
MaxCores = Annotated[float | None, typer.Option(help="Cores that steps may use together.", rich_help_panel=LIMITS)]
MaxRam = Annotated[
    str | None,
    typer.Option(help="Memory that steps may use together: MiB, or with a unit as 4G.", rich_help_panel=LIMITS),
]
Parallel = Annotated[int | None, typer.Option(help="Tool calls in hand at once.", rich_help_panel=LIMITS)]
Timeout = Annotated[float | None, typer.Option(help="Seconds that the whole run may take.", rich_help_panel=LIMITS)]
StepTimeout = Annotated[
    float | None, typer.Option(help="Seconds that a tool without a ToolTimeLimit may take.", rich_help_panel=LIMITS)
]
OnErrorOption = Annotated[
    OnError | None,
    typer.Option("--on-error", help="What a failed step does to the others.", rich_help_panel=FAILURES),
]
Retries = Annotated[
    int | None,
    typer.Option(help="Further tries of a call that fails with a temporaryFailCode.", rich_help_panel=FAILURES),
]
Callbacks = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="What to call when something happens, as YAML.", rich_help_panel=FAILURES),
]
Name = Annotated[
    str | None,
    typer.Option(help="Name of the flow run; of a batch, what the names of its runs begin with.", rich_help_panel=RUN),
]
Tag = Annotated[list[str] | None, typer.Option(help="Tag of the flow run; repeatable.", rich_help_panel=RUN)]
Batch = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE...",
        help="A run for each of these job orders, or each row of a CSV, TSV or JSONL table.",
        rich_help_panel=MANY,
    ),
]
BatchParallel = Annotated[int | None, typer.Option(help="Runs of the batch at once.", rich_help_panel=MANY)]
Watch = Annotated[
    bool,
    typer.Option("--watch", help="Run again when a document or input is saved, until Ctrl-C.", rich_help_panel=MANY),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Only say what would run, what is cached, and what each step asks for."),
]
Target = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Run only what this output or step needs; repeatable.", rich_help_panel=PART),
]
SingleStep = Annotated[
    str | None,
    typer.Option(metavar="STEP", help="Run only this step, as prepare.align, on its own inputs.", rich_help_panel=PART),
]
NoCache = Annotated[
    bool, typer.Option("--no-cache", help="Run every call, and keep nothing for later runs.", rich_help_panel=CACHE)
]
Refresh = Annotated[
    list[str] | None,
    typer.Option(metavar="STEP", help="Run this step although it is cached; repeatable.", rich_help_panel=CACHE),
]
Cache = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Where outputs of calls are kept: a directory or URL.", rich_help_panel=CACHE),
]
CacheMode = Annotated[
    Mode | None,
    typer.Option(help="What tells whether an input file is still the same.", rich_help_panel=CACHE),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Say more: every call with its command, image and files, and logs.")
]
LogFormat = Annotated[
    LogFormatChoice, typer.Option(help="What standard error is written as: text, or a JSON object a line.")
]
ShowHelp = Annotated[
    bool, typer.Option("--help", "-h", help="Show this, and the inputs of DOCUMENT where it is given.")
]


def settings_of(options: Mapping[str, object]) -> dict[str, object]:
    """Return the settings that the options ask for, by name; None stands for what was not given."""
    chosen = {setting: options[option] for option, setting in SETTINGS.items()}
    if options["no_container"]:
        chosen["backend"] = BackendName.LOCAL
    if options["no_cache"]:
        chosen["cache"] = False
    chosen |= {name: True for name in ("untrusted", "require_containers", "overwrite") if options[name]}
    assets = options["assets"]
    chosen["assets"] = tuple(filter(None, assets.split(","))) if isinstance(assets, str) else None
    allowed = options["allow_path"]
    chosen["allow_path"] = tuple(allowed) if isinstance(allowed, list | tuple) and allowed else None
    refresh = options["refresh"]
    chosen["refresh"] = tuple(refresh) if isinstance(refresh, list | tuple) and refresh else None
    return chosen
