"""``cwl-prefect-runner``: the command line that CWL runners have in common, as ``cwltest --tool`` drives it."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from cwl_prefect import __version__
from cwl_prefect.cli.exit_codes import RUNNER_FAILURE, SUCCESS
from cwl_prefect.cli.failures import report_failure
from cwl_prefect.errors import InterruptedRunError, UnsupportedError

KEPT_CODES = frozenset({SUCCESS, UnsupportedError.exit_code, InterruptedRunError.exit_code})


def run_as_cwl_runner(arguments: Sequence[str]) -> int:
    """Run a process and print its output object; 0 says success, 33 an unsupported feature, 1 any other failure."""
    options, rest = _parser().parse_known_args(arguments)
    if options.version:
        print(f"cwl-prefect-runner {__version__}")  # noqa: T201 - asked for
        return SUCCESS
    try:
        code = _run(options, [argument for argument in (options.processfile, *rest) if argument is not None])
    except (Exception, KeyboardInterrupt) as exc:  # noqa: BLE001 - the outermost border
        code = report_failure(exc)
    return code if code in KEPT_CODES else RUNNER_FAILURE


def _run(options: argparse.Namespace, arguments: list[str]) -> int:
    from cwl_prefect.cli.run.command import RunRequest, run_document

    workdir: str | None = options.tmp_outdir_prefix or options.tmpdir_prefix
    overrides: dict[str, object] = {
        "backend": "local" if options.no_container else options.backend,
        "workdir": Path(workdir).absolute().parent / "cwl-prefect-runs" if workdir else None,
    }
    return run_document(
        RunRequest(
            arguments=tuple(arguments),
            overrides=overrides,
            outdir=options.outdir,
            quiet=options.quiet,
            verbose=options.verbose,
        )
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cwl-prefect-runner",
        usage="%(prog)s [options] processfile [jobfile] [--input value ...]",
        description="Run a CWL process and print its output object.",
        allow_abbrev=False,
    )
    parser.add_argument("processfile", nargs="?", help="a CWL document, or a job order that names one as cwl:tool")
    parser.add_argument("--outdir", help="where results go; the current directory by default")
    parser.add_argument("--quiet", action="store_true", help="say nothing but errors")
    parser.add_argument("--verbose", "--debug", action="store_true", help="say more")
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    parser.add_argument("--basedir", help="accepted for compatibility: paths start from the job order's directory")
    parser.add_argument("--tmpdir-prefix", help="workspaces are made in this prefix's directory")
    parser.add_argument("--tmp-outdir-prefix", help="workspaces are made in this prefix's directory")
    parser.add_argument("--no-container", action="store_true", help="run every step as a process of this machine")
    parser.add_argument("--backend", choices=("auto", "local", "docker", "kubernetes"), help="where steps run")
    return parser
