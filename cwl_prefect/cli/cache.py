"""The commands ``cache``."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Annotated

import typer

from cwl_prefect._lib.suggestions import did_you_mean
from cwl_prefect.cli.failures import lent_credentials, settings_with
from cwl_prefect.cli.quantities import cache_bounds
from cwl_prefect.cli.runs.app import RunName
from cwl_prefect.cli.terminal import tell
from cwl_prefect.engine.cache.care import read_entries, sweep, verify
from cwl_prefect.engine.cache.checksums import Checksums
from cwl_prefect.engine.cache.explain import differences, nearest
from cwl_prefect.engine.cache.places import open_store
from cwl_prefect.engine.cache.store import Store
from cwl_prefect.engine.records.journal import LookedUp, read_journal
from cwl_prefect.errors import UsageError
from cwl_prefect.model.cache import CacheEntry
from cwl_prefect.model.names import without_indices
from cwl_prefect.reports.files import find_directory
from cwl_prefect.runs.cache_collecting import CacheCollected, collect_cache, record_removal, size_text
from cwl_prefect.settings import Settings
from cwl_prefect.storage.downloads import downloads_of
from cwl_prefect.storage.eviction import evict

SHOWN_CALLS = 5
SHORT_KEY = 12

app = typer.Typer()

Place = Annotated[
    str | None, typer.Option("--cache", metavar="URL", help="The cache: a directory or URL; your own by default.")
]


@app.command("ls")
def show_list(
    step: Annotated[str | None, typer.Option(metavar="STEP", help="Calls of this step or tool only; * is any.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The latest so many.")] = 50,
    cache: Place = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
) -> None:
    """List calls that are cached, the latest first."""
    with _opened(cache) as (_, store):
        entries = sorted(_of_step(store, step), key=lambda entry: entry.created_at, reverse=True)
    if as_json:
        tell(json.dumps([_summary(entry) for entry in entries[:limit]], indent=2))
        return
    for entry in entries[:limit]:
        tell(
            f"{entry.key.digest[:SHORT_KEY]}  {_when(entry.created_at)}  {size_text(entry.size):>9}  "
            f"{entry.duration_s:8.1f} s  {entry.tool}  ({entry.step} of {entry.run_id[:8]})"
        )
    more = f", of {len(entries)}" if len(entries) > limit else ""
    size = size_text(sum(entry.size for entry in entries))
    tell(f"{min(limit, len(entries))} calls{more} in {store.place}; {size} of outputs.")


@app.command("show")
def show_entry(
    key: Annotated[str, typer.Argument(metavar="KEY", help="A key, or the beginning of one.")], cache: Place = None
) -> None:
    """Show what a call's key is made of, and what the call gave."""
    with _opened(cache) as (_, store):
        found = [entry for kept, entry in read_entries(store) if kept.name.startswith(key)]
    if len(found) != 1:
        known = "there is no call with" if not found else f"there are {len(found)} calls whose keys begin with"
        raise UsageError(f"{known} {key!r} in {store.place}.", hint="see `cwl-prefect cache ls`.")
    tell(json.dumps({**_summary(found[0]), "key_parts": found[0].key.parts, "outputs": found[0].outputs}, indent=2))


@app.command()
def explain(
    run: RunName,
    step: Annotated[str, typer.Argument(metavar="STEP", help="A step, as prepare.align, or one call: align[3].")],
    cache: Place = None,
) -> None:
    """Print why calls of a step ran or were cached: which part of the key differs from the nearest earlier call."""
    with _opened(cache) as (settings, store):
        calls = _calls(settings, run, step)
        entries = [entry for _, entry in read_entries(store)]
    cached = [call for call in calls if call.hit]
    ran = [call for call in calls if not call.hit]
    tell(f"{step}: {len(cached)} cached, {len(ran)} not cached.")
    for call in (cached if not ran else [])[:1]:
        origin = next((entry for entry in entries if entry.key.digest == call.key), None)
        if origin is not None:
            tell(f"{call.call} was found: {_origin(origin)}.")
    for call in ran[:SHOWN_CALLS]:
        tell(f"{call.call}: {_why(call, entries)}")
    if len(ran) > SHOWN_CALLS:
        tell(f"… and {len(ran) - SHOWN_CALLS} more; name one of them, as {ran[-1].call}.")


@app.command("verify")
def verify_all(cache: Place = None) -> None:
    """Read everything that is kept, and remove what is damaged; exits with 1 where something was."""
    with _opened(cache) as (settings, store):
        found = verify(store)
        if not found.whole:
            record_removal(settings, store, entries=found.damaged_entries, objects=found.damaged_objects, why="damaged")
    tell(f"{found.entries} calls and {found.objects} files in {store.place} were checked.")
    if found.whole:
        tell("All are whole.")
        return
    tell(
        f"Removed {found.damaged_entries} calls and {found.damaged_objects} files that were damaged or incomplete; "
        "they will be made again when they are needed."
    )
    raise typer.Exit(1)


@app.command("gc")
def collect(
    older_than: Annotated[
        str | None, typer.Option(metavar="TIME", help="Remove what was not used for so long, as 30d or 12h.")
    ] = None,
    max_size: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Remove what was used longest ago until so much is left: 50G.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be removed.")] = False,
    cache: Place = None,
) -> None:
    """Remove what is old or too much, and files that no call is left for."""
    unused_for_s, most_bytes = cache_bounds(older_than, max_size)
    settings = settings_with({"cache_url": cache})
    with lent_credentials(settings):
        collected = collect_cache(settings, unused_for_s=unused_for_s, most_bytes=most_bytes, dry_run=dry_run)
    tell(collected.told("Would remove" if dry_run else "Removed"))


@app.command()
def clear(yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False, cache: Place = None) -> None:
    """Remove everything from the cache."""
    with _opened(cache) as (settings, store):
        if not yes:
            typer.confirm(f"Remove all that is cached in {store.place}, and all downloads?", abort=True, err=True)
        swept, evicted = sweep(store, most_bytes=0), evict(downloads_of(settings).directory, most_bytes=0)
        record_removal(settings, store, entries=swept.entries, objects=swept.objects, why="clear")
    tell(CacheCollected(swept=swept, evicted=evicted).told("Removed"))


@contextmanager
def _opened(place: str | None) -> Iterator[tuple[Settings, Store]]:
    settings = settings_with({"cache_url": place})
    checksums = Checksums(settings.checksums)
    try:
        with lent_credentials(settings):
            yield settings, open_store(settings.cache_url, settings.home, checksums)
    finally:
        checksums.close()


def _of_step(store: Store, pattern: str | None) -> Iterator[CacheEntry]:
    for _, entry in read_entries(store):
        names = (entry.tool, without_indices(entry.step))
        if pattern is None or any(fnmatchcase(name, pattern) for name in names):
            yield entry


def _calls(settings: Settings, run: str, step: str) -> list[LookedUp]:
    """Return the latest look-up of each call of a step.

    Raises:
        InputError: Nothing is recorded of such a run.
        UsageError: It looked up no such step, or nothing.
    """
    directory = find_directory(run, settings.reports)
    latest = list({(call.step, call.call): call for call in read_journal(directory)}.values())
    if not latest:
        raise UsageError(
            f"the run {directory.name} looked up nothing: the cache was off, or its workflow changes files in place.",
            hint="give the name or id of an earlier run; `cwl-prefect runs ls` lists them.",
        )
    calls = [call for call in latest if _is_of(call, step)]
    if not calls:
        known = [without_indices(call.step) for call in latest]
        hint = did_you_mean(step, known, otherwise="its steps are:")
        raise UsageError(f"the run looked up no step {step}.", hint=hint)
    return calls


def _is_of(call: LookedUp, step: str) -> bool:
    """Check whether a look-up is that of a step or of one call."""
    return step in (call.call, call.step, without_indices(call.step))


def _why(call: LookedUp, entries: list[CacheEntry]) -> str:
    if call.parts is None:
        return f"it cannot be cached: {call.reason or 'unknown'}."
    if call.refreshed:
        return "a refresh was asked for, so that it ran although it may be cached."
    same = next((entry for entry in entries if entry.key.digest == call.key and entry.created_at < call.at), None)
    if same is not None:
        return f"it was cached ({_origin(same)}), but not wanted: it had expired."
    earlier = [e for e in entries if e.created_at < call.at and _is_alike(call, e)]
    found = nearest(call.parts, earlier)
    if found is None:
        return "no earlier call of the step is in the cache."
    told = differences(call.parts, found.key.parts) or ["something that is not kept for people differs"]
    return f"compared with the nearest earlier call ({_origin(found)})\n" + "\n".join(f"  - {text}" for text in told)


def _is_alike(call: LookedUp, entry: CacheEntry) -> bool:
    """Check whether an entry is of a step of the same name."""
    return len({without_indices(step).rpartition(".")[2] for step in (call.step, entry.step)}) == 1


def _origin(entry: CacheEntry) -> str:
    return f"{entry.key.digest[:SHORT_KEY]}, {_when(entry.created_at)}, {entry.step} of run {entry.run_id[:8]}"


def _summary(entry: CacheEntry) -> dict[str, object]:
    return {
        "key": entry.key.digest,
        "step": entry.step,
        "tool": entry.tool,
        "run": entry.run_id,
        "created": datetime.fromtimestamp(entry.created_at).astimezone().isoformat(timespec="seconds"),
        "duration_s": entry.duration_s,
        "size": entry.size,
        "files": len(entry.files),
    }


def _when(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment).astimezone():%Y-%m-%d %H:%M}"
