"""The commands ``runs report`` and ``runs crate``."""

from pathlib import Path

from cwl_prefect._lib.atomic_write import is_device
from cwl_prefect.cli.failures import settings_with
from cwl_prefect.cli.terminal import tell
from cwl_prefect.errors import UsageError
from cwl_prefect.reports.files import Format, find_directory, rendered, write
from cwl_prefect.reports.prices import priced
from cwl_prefect.reports.record import read_record


def report(run: str, output: Path | None, chosen: str | None, *, prices: Path | None = None) -> None:
    """Print the report of a run, or write it to a file, whose suffix tells the format where none is given.

    Raises:
        InputError: Nothing is recorded of the run.
        UsageError: The file cannot be written, its name does not tell the format, or there are no prices in theirs.
    """
    record = priced(read_record(find_directory(run, settings_with({}).reports)), prices)
    text = rendered(record, _format_of(output) if chosen is None else Format(chosen))
    if output is None:
        tell(text, end="")
    else:
        write(output, text)


def crate(run: str, output: Path | None, *, data: bool) -> None:
    """Write a run as a crate, and print where it is.

    Raises:
        InputError: Nothing is recorded of the run.
        UsageError: It cannot be written.
    """
    from cwl_prefect.reports.crate.write import write_crate

    settings = settings_with({})
    directory = find_directory(run, settings.reports)
    target = Path(f"crate-{directory.name}") if output is None else output
    write_crate(directory, target, settings, data=data)
    tell(str(target))


def _format_of(output: Path | None) -> Format:
    if output is None:
        return Format.TSV
    suffix = output.suffix.lstrip(".").lower()
    if suffix in {"", "htm"} or is_device(output):
        return Format.HTML
    if suffix not in {str(known) for known in Format}:
        raise UsageError(
            f"--output: {output} does not say how to write it.",
            hint=f"end its name in {', '.join(f'.{known}' for known in Format)}, or give --format.",
        )
    return Format(suffix)
