"""Measure cwl-prefect against cwltool and against its own bars: ``make bench [ROWS="echo chain-100"] [REPEAT=3]``.

Whole processes are timed, from start to exit, on compiled bytecode; both runners are measured in turn in the same
session, and every output is checked. Exits with 1 when a bar is missed, with 2 when something could not be measured.
"""

import argparse
import compileall
import json
import os
import platform
import sys
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from tests.bench.processes import BenchError
from tests.bench.rows import ROWS, Bench, Check
from tests.bench.runners import Runners

REPORT = Path(".benchmarks/bench.json")
PACKAGES = ("cwl_prefect", "cwltool", "prefect")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"what to measure, of: {', '.join(ROWS)} (all)")
    parser.add_argument("--repeat", type=int, default=3, help="measurements, of which the median counts (3)")
    parser.add_argument("--report", type=Path, default=REPORT, help=f"where the figures are written ({REPORT})")
    parser.add_argument("--no-standby", action="store_true", help="let each command start by itself")
    arguments = parser.parse_args()
    unknown = [row for row in arguments.rows if row not in ROWS]
    if unknown or arguments.repeat < 1:
        parser.error(f"no such row: {', '.join(unknown)}" if unknown else "--repeat must be 1 or more")
    return arguments


def _compile_bytecode() -> None:
    for package in PACKAGES:
        spec = find_spec(package)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            compileall.compile_dir(folder, quiet=2, workers=0)


def _machine() -> dict[str, object]:
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load": [round(load, 2) for load in os.getloadavg()],
        "versions": {name: version(name) for name in ("cwl-prefect", "cwltool", "prefect")},
    }


def _print(check: Check) -> None:
    def seconds(values: tuple[float, ...]) -> str:
        return " ".join(f"{value:.2f}" for value in values) or "-"

    verdict = "held" if check.held else "MISSED"
    figure, bar = f"{check.figure:.2f} {check.unit}", f"≤ {check.bar:g}"
    print(f"{check.what:<38} {figure:>23}  {bar:>6}  {verdict:<7} ours: {seconds(check.ours)}", end="")
    print(f"  reference: {seconds(check.reference)}" if check.reference else "", end="")
    print(f"  ({check.note})" if check.note else "", flush=True)


def _write(report: Path, machine: dict[str, object], checks: list[Check], problems: list[str]) -> None:
    report.parent.mkdir(parents=True, exist_ok=True)
    figures = [asdict(check) | {"held": check.held} for check in checks]
    report.write_text(json.dumps({"machine": machine, "checks": figures, "problems": problems}, indent=2), "utf-8")


def main() -> int:
    """Measure what was asked for."""
    arguments = _arguments()
    machine = _machine()
    starts = "each command starts by itself" if arguments.no_standby else "a process stands by, as runs leave it"
    print(f"{machine}\nMedian of {arguments.repeat}; whole processes, in seconds; {starts}.", flush=True)
    _compile_bytecode()
    checks: list[Check] = []
    problems: list[str] = []
    with tempfile.TemporaryDirectory(prefix="cwl-prefect-bench-") as scratch:
        documents = Path(scratch) / "documents"
        documents.mkdir()
        bench = Bench(Runners(Path(scratch), standby=not arguments.no_standby), documents, arguments.repeat)
        try:
            bench.warm_up()
            for row in arguments.rows or ROWS:
                try:
                    for check in ROWS[row](bench):
                        _print(check)
                        checks.append(check)
                except BenchError as error:
                    problems.append(f"{row}: {error}")
                    print(f"{row} could not be measured: {error}", flush=True)
        finally:
            bench.runners.server("stop")
    _write(arguments.report, machine, checks, problems)
    missed = [check.what for check in checks if not check.held]
    print(f"{len(checks) - len(missed)} of {len(checks)} bars held; figures in {arguments.report}")
    return 2 if problems else 1 if missed else 0


sys.exit(main())
