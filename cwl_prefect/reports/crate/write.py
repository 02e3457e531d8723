"""Write a run as a crate: a directory, or a ZIP archive of one."""

import json
import os
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

from cwl_prefect._lib.destinations import names_url
from cwl_prefect.engine.cache.checksums import Checksums
from cwl_prefect.errors import InputError, UsageError
from cwl_prefect.model.plan import WorkflowPlan, decode_plan
from cwl_prefect.reports.crate.actions import Told, called, tell
from cwl_prefect.reports.crate.data import Data
from cwl_prefect.reports.crate.entities import Entities, moment, quoted
from cwl_prefect.reports.crate.history import History, read_history
from cwl_prefect.reports.crate.packed import packed
from cwl_prefect.reports.crate.workflow import WORKFLOW_FILE, Structure, describe, is_workflow
from cwl_prefect.reports.trace import PLAN
from cwl_prefect.settings import Settings

METADATA = "ro-crate-metadata.json"
_ROOT = "./"
_CONTEXT = ["https://w3id.org/ro/crate/1.1/context", "https://w3id.org/ro/terms/workflow-run/context"]
_CRATE = "https://w3id.org/ro/crate/1.1"
_WORKFLOW_CRATE = "https://w3id.org/workflowhub/workflow-ro-crate/1.0"
_PROVENANCE = "Provenance Run Crate"
_PROFILES = (
    ("Process Run Crate", "https://w3id.org/ro/wfrun/process/0.5"),
    ("Workflow Run Crate", "https://w3id.org/ro/wfrun/workflow/0.5"),
    (_PROVENANCE, "https://w3id.org/ro/wfrun/provenance/0.5"),
)
_NO_LICENSE = "No licence is stated."
_WITH_ADDRESS = re.compile(r"\s*(?P<name>[^<>]*?)\s*<(?P<address>[a-z][a-z0-9+.-]*:[^<>\s]+)>\s*")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*:\S+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Crate:
    """A crate, before it is written."""

    metadata: Mapping[str, object]
    workflow: Mapping[str, object]
    sources: Mapping[str, Path | bytes]  # what is copied, or its content, by path


def check_target(target: Path) -> None:
    """Refuse a place where something is, and a URL.

    Raises:
        UsageError: It is taken, or none of this machine.
    """
    if names_url(target):
        raise UsageError(f"{target} cannot be written: it is a URL.", hint="name a directory or a .zip.")
    if target.is_symlink() or target.exists():
        raise UsageError(f"{target} exists already.", hint="name a directory or a .zip that does not exist.")


def write_crate(directory: Path, target: Path, settings: Settings, *, data: bool = True) -> None:
    """Write the crate of a run.

    Args:
        directory: Of the run's trace.
        target: Where to; a ZIP archive where it ends with ``.zip``, else a directory.
        settings: Who ran it, and under which licence its data are.
        data: Whether files are copied into it; else they are named by their checksums.

    Raises:
        InputError: Nothing is recorded of the run, or not enough.
        UsageError: It cannot be written.
    """
    check_target(target)
    crate = crate_of(read_history(directory), _plan(directory), settings, data=data)
    part = target.absolute().with_name(f".{os.urandom(8).hex()}.part")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        _write_directory(part, crate)
        if target.suffix.lower() == ".zip":
            _archive(part, target)
        else:
            part.rename(target)
    except OSError as error:
        raise UsageError(
            f"{target} cannot be written: {error.strerror or error}.", hint="name another place, or make room there."
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def crate_of(history: History, plan: WorkflowPlan, settings: Settings, *, data: bool = True) -> Crate:
    """Return the crate of a run."""
    entities, structure, checksums = Entities(), Structure(plan), Checksums(settings.checksums)
    ran = called(history, structure)
    until = history.record.ended_at or time.time()
    run = str(history.record.started.get("run"))
    files = Data(entities, run=run, until=until, copied=data, checksums=checksums)
    try:
        for values in history.values():
            files.note(values)
        entities.add(METADATA, "CreativeWork", conformsTo=[{"@id": _CRATE}, {"@id": _WORKFLOW_CRATE}])
        entities.link(METADATA, "about", _ROOT)
        _add_root(entities, structure, settings, provenance=is_workflow(plan, ran))
        describe(entities, structure, ran)
        tell(Told(entities=entities, data=files, structure=structure, agent=_agent(entities, settings)), history)
        document = packed(plan, files.located)
    finally:
        checksums.close()
    for part in entities.of_kind("File", "Dataset"):
        if part != _ROOT:
            entities.link(_ROOT, "hasPart", part)
    for mentioned in entities.of_kind("CreateAction", "Collection"):
        entities.link(_ROOT, "mentions", mentioned)
    return Crate(
        metadata={"@context": _CONTEXT, "@graph": entities.graph()}, workflow=document, sources=dict(files.sources)
    )


def _add_root(entities: Entities, structure: Structure, settings: Settings, *, provenance: bool) -> None:
    title = structure.plan.label or structure.plan.name
    license_ = settings.license or _NO_LICENSE
    entities.add(
        _ROOT,
        "Dataset",
        name=f"Run of {title}",
        description=structure.plan.doc or f"What a run of the workflow {title} did, and its data.",
        datePublished=moment(time.time()),
        license={"@id": license_} if _ADDRESS.fullmatch(license_) else license_,
    )
    entities.link(_ROOT, "mainEntity", WORKFLOW_FILE)
    for name, profile in _PROFILES:
        # Without a call there is no action of any tool, which the profile asks for.
        if provenance or name != _PROVENANCE:
            entities.add(profile, "CreativeWork", name=name, version="0.5")
            entities.link(_ROOT, "conformsTo", profile)
    entities.add(_WORKFLOW_CRATE, "CreativeWork", name="Workflow RO-Crate", version="1.0")
    entities.link(_ROOT, "conformsTo", _WORKFLOW_CRATE)
    if _ADDRESS.fullmatch(license_):
        entities.add(license_, "CreativeWork", name=license_)


def _agent(entities: Entities, settings: Settings) -> str | None:
    """Add who ran the workflow; None where the settings do not tell."""
    if not settings.agent:
        return None
    found = _WITH_ADDRESS.fullmatch(settings.agent)
    if found is None:
        return entities.add(f"#agent/{quoted(settings.agent)}", "Person", name=settings.agent)
    return entities.add(found["address"], "Person", name=found["name"] or found["address"])


def _plan(directory: Path) -> WorkflowPlan:
    try:
        return decode_plan((directory / PLAN).read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(
            f"{directory} does not hold what the run ran.",
            hint="run it again: this version of cwl-prefect keeps what it needs for a crate.",
        ) from error


def _write_directory(directory: Path, crate: Crate) -> None:
    directory.mkdir()
    for name, source in crate.sources.items():
        path = _within(directory, name)
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(source, bytes):
            path.write_bytes(source)
        else:
            shutil.copyfile(source, path)
    (directory / WORKFLOW_FILE).write_text(_json(crate.workflow), "utf-8")
    (directory / METADATA).write_text(_json(crate.metadata), "utf-8")


def _within(directory: Path, name: str) -> Path:
    """Return a path of the crate.

    Raises:
        InputError: It would lie outside of it.
    """
    if os.path.isabs(name) or ".." in Path(name).parts:  # noqa: PTH117 - a name, not a place
        raise InputError(f"a file of the run is named {name!r}, which no crate can hold.")
    return directory / name


def _archive(directory: Path, target: Path) -> None:
    part = directory.with_suffix(".zip.part")
    try:
        with ZipFile(part, "w", ZIP_DEFLATED) as archive:
            for path in sorted(directory.rglob("*")):
                archive.write(path, path.relative_to(directory))
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _json(content: Mapping[str, object]) -> str:
    return json.dumps(content, indent=1) + "\n"
