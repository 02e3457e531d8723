"""``run --batch``: one run for each job order or row of a table; all checked before anything starts."""

import asyncio
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from time import monotonic
from typing import TextIO

from pydantic import JsonValue

from cwl_prefect import api
from cwl_prefect._lib.destinations import Destination, below
from cwl_prefect._lib.uris import directory_uri
from cwl_prefect.cli.exit_codes import SUCCESS
from cwl_prefect.cli.interrupt import run_interruptibly
from cwl_prefect.cli.run.input_flags import files_and_values
from cwl_prefect.cli.terminal import write_results
from cwl_prefect.cwl.binding.inputs import unknown_inputs
from cwl_prefect.cwl.binding.job_orders import referred, resolved_order
from cwl_prefect.engine.records.batch import (
    NAME_COLUMN,
    Done,
    Record,
    Row,
    Unreadable,
    is_table,
    rows,
    run_key,
    sources,
    tree_state,
    unique_keys,
    unique_names,
)
from cwl_prefect.errors import CwlPrefectError, InputError, PartialRunError, PublishError, UsageError
from cwl_prefect.flows.lifecycle.signalled import is_signalled
from cwl_prefect.model.plan import InputPort, WorkflowPlan
from cwl_prefect.model.values import CwlObject, WrittenJobOrder, as_object
from cwl_prefect.settings import Settings

SHOWN_PROBLEMS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One run of a batch."""

    name: str
    key: str
    plan: WorkflowPlan
    job_order: CwlObject
    begun: str | None = None  # flow run to go on with, which was killed or interrupted


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How one run ended."""

    done: Done
    errors: tuple[CwlPrefectError, ...] = ()

    def as_object(self) -> dict[str, JsonValue]:
        """Return what the standard output tells of it."""
        return {
            "status": self.done.status,
            "run_id": self.done.run_id,
            "url": self.done.url,
            "outputs": self.done.outputs,
            "errors": [str(error) for error in self.errors],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What is to be run."""

    items: Sequence[Item]
    settings: Settings
    outdir: Destination
    quiet: bool = False
    name: str | None = None  # what the names of its flow runs begin with
    tags: tuple[str, ...] = ()  # of each flow run


def run_batch(batch: Batch, results: TextIO) -> int:
    """Run what is not complete yet, print how each run ended as JSON, and give the exit code."""
    record = Record(_place_of_record(batch))
    before = record.completed()
    done = [Ended(done=replace(before[item.key], name=item.name)) for item in batch.items if item.key in before]
    waiting = _with_begun([item for item in batch.items if item.key not in before], batch)
    begun = sum(item.begun is not None for item in waiting)
    tell = _teller(len(batch.items), len(done), begun, quiet=batch.quiet)
    ended = run_interruptibly(lambda: _run_all(waiting, batch, record, tell)) if waiting else []
    by_name = {each.done.name: each for each in [*done, *ended]}
    ordered = [by_name[item.name] for item in batch.items]
    write_results({each.done.name: each.as_object() for each in ordered}, results)
    return _summary(ordered, batch)


def _place_of_record(batch: Batch) -> Path:
    """Return where it is recorded what is done; objects cannot be appended to, so for those it is on this machine."""
    if isinstance(batch.outdir, Path):
        return batch.outdir
    return batch.settings.home / "batches" / hashlib.sha256(batch.outdir.encode()).hexdigest()[:16]


def prepare_items(
    given: Sequence[str], arguments: Sequence[str], load: Callable[[CwlObject], WorkflowPlan], settings: Settings
) -> list[Item]:
    """Read and check the inputs of all runs.

    Args:
        given: Job orders, tables, or patterns of them.
        arguments: More of them, and flags: inputs that all runs have, over their own.
        load: Gives the plan for a job order, whose requirements apply to it.
        settings: Settings of the runs.

    Raises:
        UsageError: A file does not exist, or a flag is wrong.
        InputError: Inputs of some runs are wrong; all of them are named.
    """
    from cwl_prefect.flows.build import prepared

    more, common = files_and_values(load({}).inputs, arguments)
    state_of_tree = cache(tree_state)  # many runs may share a directory
    names, keys, orders, plans, problems = [], [], [], [], []
    for name, place, read in _orders(sources((*given, *more)), load({})):
        try:
            order = {**read(), **common}
            plan = load(order)
            _refuse_unknown(plan, order)
            ready = prepared(plan, order, settings)
        except CwlPrefectError as error:
            problems.append(f"  {place}: {error.message.removeprefix(f'{place}: ')}")
            continue
        names.append(name)
        keys.append(run_key(plan.digest, order, ready, state_of_tree))
        orders.append(order)
        plans.append(plan)
    if problems:
        _refuse(problems, len(problems) + len(orders))
    if not orders:
        raise UsageError("--batch: there is nothing to run.", hint="give job orders, or a table with rows.")
    keys = unique_keys(keys)
    found = zip(unique_names(names, keys), keys, plans, orders, strict=True)
    return [Item(name=name, key=key, plan=plan, job_order=order) for name, key, plan, order in found]


def _orders(files: Sequence[Path], plan: WorkflowPlan) -> Iterator[tuple[str, str, Callable[[], CwlObject]]]:
    for path in files:
        if not is_table(path):
            yield path.stem, str(path), partial(api.read_job_order, path)
            continue
        for row in rows(path):
            if isinstance(row, Unreadable):
                yield path.stem, row.place, row.refuse
                continue
            named = {port.id for port in plan.inputs}
            name = row.cells.get(NAME_COLUMN) if NAME_COLUMN not in named else None
            yield str(name or f"{path.stem}-{row.number}"), row.place, partial(_of_row, row, plan)


def _of_row(row: Row, plan: WorkflowPlan) -> CwlObject:
    ports = {port.id: port for port in plan.inputs}
    cells = {name: cell for name, cell in row.cells.items() if name in ports or name != NAME_COLUMN}
    directory = row.table.absolute().parent
    found, own = referred(cells, directory_uri(directory))
    if row.table.suffix.lower() == ".jsonl":
        return {**found, **resolved_order(as_object(own), directory)}
    _refuse_unknown(plan, dict.fromkeys(own))
    flags = [flag for name, cell in own.items() for flag in _flags(name, str(cell), ports.get(name))]
    return {**found, **files_and_values(plan.inputs, flags, directory)[1]}


def _refuse_unknown(plan: WorkflowPlan, order: CwlObject) -> None:
    """Refuse inputs that a workflow does not have.

    Raises:
        InputError: There is one, which is named with the one that was meant.
    """
    for key, meant in unknown_inputs(plan, order).items():
        raise InputError(f"there is no input {key!r}.{meant}")


def _flags(name: str, cell: str, port: InputPort | None) -> list[str]:
    declared = json.dumps(port.type) if port is not None else ""
    words = [word.strip() for word in cell.split(";")] if '"array"' in declared else [cell]
    return [f"--{name}={word}" for word in words]


def _refuse(problems: Sequence[str], count: int) -> None:
    shown = [*problems[:SHOWN_PROBLEMS]]
    if len(problems) > len(shown):
        shown.append(f"  … and {len(problems) - len(shown)} more")
    raise InputError(
        "\n".join([f"the inputs of {len(problems)} of {count} runs are wrong, so none was started:", *shown])
    )


def _with_begun(items: Sequence[Item], batch: Batch) -> list[Item]:
    """Let items go on with flow runs that the same command began and that were killed or interrupted."""
    from cwl_prefect.flows.build import prepared
    from cwl_prefect.runs.resume import does, unfinished

    settings = batch.settings
    runs = {one.manifest.outdir: one.manifest for one in unfinished(settings)} if items else {}

    def with_begun(item: Item) -> Item:
        """Return an item with its flow run, if there is one."""
        run = runs.get(str(below(batch.outdir, item.name)))
        if run is None or not does(run, item.plan, prepared(item.plan, item.job_order, settings), settings):
            return item
        return replace(item, begun=run.run_id)

    return [with_begun(item) for item in items]


async def _run_all(items: Sequence[Item], batch: Batch, record: Record, tell: Callable[[Ended], None]) -> list[Ended]:
    from cwl_prefect.flows.lifecycle.opening import one_machine

    places = asyncio.Semaphore(batch.settings.batch_parallel)

    async def run(item: Item) -> Ended:
        """Run one item once there is a place for it; record and tell how it ended."""
        async with places:
            ended = await _run_one(item, batch)
        try:
            record.add(ended.done)
        except PublishError as error:  # no reason to stop the others
            ended = replace(ended, errors=(*ended.errors, error))
        tell(ended)
        return ended

    with one_machine(batch.settings):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(run(item)) for item in items]
    return [task.result() for task in tasks]


async def _run_one(item: Item, batch: Batch) -> Ended:
    try:
        if item.begun is None:
            result = await _begin(item, batch)
        else:
            result = await api.resume(item.begun, settings=batch.settings)
    except CwlPrefectError as error:
        return Ended(done=Done(key=item.key, name=item.name, status="failed"), errors=(error,))
    if result.errors and is_signalled():
        raise asyncio.CancelledError  # it did not fail: the whole batch is being stopped
    done = Done(
        key=item.key,
        name=item.name,
        status=result.status.value,
        outputs=result.outputs,
        run_id=result.flow_run_id,
        url=result.url,
    )
    return Ended(done=done, errors=result.errors)


async def _begin(item: Item, batch: Batch) -> api.RunResult:
    return await api.run(
        item.plan,
        WrittenJobOrder(item.job_order),
        settings=batch.settings,
        outdir=below(batch.outdir, item.name),
        name=None if batch.name is None else f"{batch.name}-{item.name}",
        tags=batch.tags,
    )


def _teller(count: int, before: int, begun: int, *, quiet: bool) -> Callable[[Ended], None]:
    began, number = monotonic(), before
    if before and not quiet:
        _say(f"{before} of {count} runs are complete already")
    if begun and not quiet:
        _say(f"{begun} of {count} runs were killed or interrupted and go on")

    def tell(ended: Ended) -> None:
        """Print one line about an item that ended."""
        nonlocal number
        number += 1
        why = f": {ended.errors[0].message.splitlines()[0]}" if ended.errors else ""
        if not quiet or ended.errors:
            _say(f"[{monotonic() - began:7.1f} s] {number} of {count}: {ended.done.name} {ended.done.status}{why}")

    return tell


def _summary(ended: Sequence[Ended], batch: Batch) -> int:
    counts = Counter(each.done.status for each in ended)
    if not batch.quiet:
        told = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
        again = "" if counts["completed"] == len(ended) else "; the same command runs what is not complete"
        _say(f"{told}{again}")
    if counts["completed"] == len(ended):
        return SUCCESS
    if counts["failed"] == len(ended):
        return next(error.exit_code for each in ended for error in each.errors)
    return PartialRunError.exit_code


def _say(line: str) -> None:
    try:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        return  # nobody reads it; the runs go on
