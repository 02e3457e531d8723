"""The reports of a run that its command line asks for."""

from collections.abc import Mapping
from pathlib import Path

from cwl_prefect.reports.crate.write import write_crate
from cwl_prefect.reports.dag import dag
from cwl_prefect.reports.files import Format, rendered, write
from cwl_prefect.reports.page.build import page
from cwl_prefect.reports.prices import priced
from cwl_prefect.reports.record import Record, read_record
from cwl_prefect.settings import Settings


def write_reports(
    directory: Path, targets: Mapping[str, Path | None], settings: Settings, *, prices: Path | None = None
) -> None:
    """Write the reports of a run that were asked for, by the names of their options.

    Args:
        directory: Where the run is recorded.
        targets: Where the reports go.
        settings: Of the run.
        prices: File of prices, by which they say what was paid.

    Raises:
        InputError: Nothing is recorded of the run.
        UsageError: A file cannot be written, or there are no prices in theirs.
    """
    wanted = {name: path for name, path in targets.items() if path is not None}
    if not wanted:
        return
    record = priced(read_record(directory), prices)
    for name, path in wanted.items():
        if name == "provenance":
            write_crate(directory, path, settings)
        else:
            write(path, _text(record, name, path))


def _text(record: Record, name: str, path: Path) -> str:
    match name:
        case "trace":
            return rendered(record, Format.TSV)
        case "dag":
            return dag(record, path)
        case _:
            return page(record, timeline=name == "timeline")
