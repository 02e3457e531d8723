"""Collect what a call left behind, from its output directory only, and tell which output is not what it declares."""

import glob
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

from cwltool.errors import WorkflowException
from cwltool.stdfsaccess import StdFsAccess
from pydantic import JsonValue
from schema_salad.exceptions import SchemaSaladException
from schema_salad.ref_resolver import file_uri

from cwl_prefect.cwl.faults import value_faults
from cwl_prefect.cwl.live import DescribedJob, call_errors, expression_error
from cwl_prefect.cwl.messages import call_message
from cwl_prefect.errors import CwlPrefectError, OutputError
from cwl_prefect.model.job import BoundCall, EntryKind
from cwl_prefect.model.plan import ToolPlan
from cwl_prefect.model.values import CwlObject, as_object

Collect = Callable[[Path, int], CwlObject]

CUSTOM_OUTPUT = "cwl.output.json"
MOST_NAMES = 10
_WHOLE = (".", "./", "$(runtime.outdir)")  # globs that give the output directory itself
_FILE_KINDS = (EntryKind.FILE, EntryKind.WRITABLE_FILE, EntryKind.DIRECTORY, EntryKind.WRITABLE_DIRECTORY)
_OF_PORT = re.compile(r"Error collecting output for parameter '(?P<port>.*?)':\s*(?P<text>.*)", re.DOTALL)
_NO_MATCH = re.compile(r"Did not find output file with glob pattern: \[(?P<globs>.*)\]\.?", re.DOTALL)
_SEVERAL = "Multiple matches for output item that is a single file"


class OutputFiles(StdFsAccess):
    """Access to one output directory, closed to links and locations that lead out of it, and to pipes and devices.

    A tool in a container could otherwise read this machine's files, or keep this process waiting for a pipe.

    Args:
        basedir: The output directory.
        inputs: Real paths of files and directories that links may lead to.
        passed_on: Paths of inputs, and of what is listed of them, that outputs may name as they stand.
    """

    def __init__(self, basedir: str, *, inputs: tuple[str, ...], passed_on: frozenset[str] = frozenset()) -> None:
        super().__init__(basedir)
        self._inputs = inputs
        self._passed_on = passed_on

    def glob(self, pattern: str) -> list[str]:
        """Give the URIs of what matches a pattern, or else has just that name; the directory's own is no pattern."""
        if os.path.normpath(pattern) == self.basedir:
            return [file_uri(self.basedir)]
        below = pattern.removeprefix(f"{self.basedir}/")
        found = sorted(glob.glob(f"{glob.escape(self.basedir)}/{below}"))  # noqa: PTH207 - Path.glob keeps no "."
        if not found and os.path.lexists(pattern):
            found = [pattern]
        for path in found:
            self._check(path)
        return [file_uri(path) for path in found]

    def open(self, fn: str, mode: str) -> IO[Any]:
        """Open a file."""
        path = self._abs(fn)
        self._check(path)
        return open(path, mode, opener=_at_once)

    def isfile(self, fn: str) -> bool:
        """Tell whether a location is that of a file; cwltool asks it of each that a tool gives."""
        return super().isfile(fn) and self._is_open(fn)

    def isdir(self, fn: str) -> bool:
        """Tell whether a location is that of a directory."""
        return super().isdir(fn) and self._is_open(fn)

    def _is_open(self, fn: str) -> bool:
        self._check(self._abs(fn))
        return True

    def _check(self, path: str) -> None:
        directory, _, name = path.rpartition("/")
        if directory == self.basedir and name != ".." and _is_plain(path):
            return  # the usual case, told by one look
        if path in self._passed_on:
            return
        real = os.path.realpath(path)
        roots = (os.path.realpath(self.basedir), *self._inputs)
        shown = os.path.relpath(path, self.basedir) if path.startswith(f"{self.basedir}/") else path
        if not any(real == root or real.startswith(f"{root}/") for root in roots):
            leads = "is" if real == shown else f"leads to {real},"
            raise OutputError(
                f"{shown} {leads} outside the output directory.",
                hint="A tool may only give files of its own output directory or its inputs; let it copy the file.",
            )
        if os.path.lexists(real) and not _is_plain(real):
            raise OutputError(
                f"{shown} is neither a file nor a directory but a pipe, socket or device.",
                hint="Let the tool write a regular file.",
            )


def _is_plain(path: str) -> bool:
    """Tell whether a path is that of a regular file or a directory, and no link."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def collector(job: DescribedJob, call: BoundCall, *, name: str) -> Collect:
    """Make what collects the outputs of a call, once, from an output directory and an exit code.

    It raises OutputError where an output is not what the tool declares, and ExpressionError where an expression fails.
    """

    def collect(outdir: Path, exit_code: int) -> CwlObject:
        """Collect the outputs from an output directory, knowing the exit code."""
        _settle_literals(job, call, outdir)
        inputs = tuple(os.path.realpath(entry.source) for entry in call.entries if entry.kind in _FILE_KINDS)
        files = partial(OutputFiles, inputs=inputs, passed_on=_passed_on(job, call, outdir))
        job.builder.make_fs_access = cast("type[StdFsAccess]", files)
        with call_errors(name), output_errors(name, outdir):
            return as_object(job.collect_outputs(str(outdir), exit_code))

    return collect


def _passed_on(job: DescribedJob, call: BoundCall, outdir: Path) -> frozenset[str]:
    """Give the paths that cwltool names for inputs passed on; a literal has one only where a call mounts nothing."""
    kinds = ("File", "Directory", "CreateFile") if call.outdir == str(outdir) else ("File", "Directory")
    return frozenset(entry.resolved for entry in job.pathmapper if entry.type in kinds)


def gives_outdir(tool: ToolPlan) -> bool:
    """Tell whether an output of a tool is its whole output directory, whose name shows then."""
    return _has_whole_glob(tool.document["outputs"])


def _has_whole_glob(value: JsonValue) -> bool:
    if isinstance(value, list):
        return any(map(_has_whole_glob, value))
    if not isinstance(value, dict):
        return False
    globs = value.get("glob")
    named = any(one in _WHOLE for one in (globs if isinstance(globs, list) else [globs]))
    return named or any(map(_has_whole_glob, value.values()))


@contextmanager
def output_errors(name: str, outdir: Path) -> Iterator[None]:
    """Turn what cwltool raises while it collects outputs into errors that name call, output and directory.

    Raises:
        OutputError: An output is not what the tool declares.
        ExpressionError: An expression failed.
    """
    try:
        yield
    except OutputError as error:
        raise OutputError(f"{name}: {error.message}", step=name, hint=error.hint) from error
    except CwlPrefectError:
        raise
    except (WorkflowException, SchemaSaladException, ValueError, KeyError, TypeError, OSError) as error:
        failed = expression_error(name, error)
        if failed is not None:
            raise failed from error
        port, text, hint = _explained(error, outdir)
        where = f"output {port}: " if port else ""
        raise OutputError(f"{name}: {where}{text}\n  output directory: {outdir}", step=name, hint=hint) from error


def _explained(error: Exception, outdir: Path) -> tuple[str | None, str, str | None]:
    """Tell which output is at fault, where it is one alone, why, and what may help."""
    message = call_message(str(error))
    of_port = _OF_PORT.fullmatch(message)
    if of_port is not None:
        return (of_port["port"], *_reason(error, call_message(of_port["text"]), outdir))
    if isinstance(error.__cause__, SchemaSaladException) and message.startswith("Error validating output record"):
        return None, _wrong_values(error.__cause__), "Let the tool's outputBinding give what the output's type says."
    if isinstance(error, ValueError) and (outdir / CUSTOM_OUTPUT).exists():
        return None, f"{CUSTOM_OUTPUT} is not JSON: {message}.", "Let the tool write one JSON object there, or nothing."
    return (None, *_reason(error, message, outdir))


def _reason(error: Exception, text: str, outdir: Path) -> tuple[str, str | None]:
    own = _own_error(error)
    if own is not None:
        return own.message, own.hint
    no_match = _NO_MATCH.fullmatch(text)
    if no_match is not None:
        hint = "Correct the glob, or make the output optional (type File?) if the tool need not write it."
        return f"no file matches the glob {no_match['globs']}; {_holds(outdir)}.", hint
    if text.startswith(_SEVERAL):
        hint = "Narrow the glob, or declare an array (type File[])."
        return f"several files match, where one is declared; {_holds(outdir)}.", hint
    if text.startswith("Output file path "):
        hint = "A tool may only give files of its own output directory or its inputs."
        return f"{text.partition(' must be ')[0]} is outside the output directory.", hint
    return text, None


def _own_error(error: BaseException | None) -> CwlPrefectError | None:
    while error is not None:
        if isinstance(error, CwlPrefectError):
            return error
        error = error.__cause__ or error.__context__
    return None


def _wrong_values(error: SchemaSaladException) -> str:
    faults = (f"output {field}: {text}" if field else text for field, text in value_faults(error))
    return f"{'; '.join(dict.fromkeys(faults))}."


def _holds(outdir: Path) -> str:
    names = sorted(entry.name for entry in outdir.iterdir())
    if not names:
        return "the tool left nothing in its output directory"
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"the output directory holds {', '.join(map(repr, names[:MOST_NAMES]))}{more}"


def _settle_literals(job: DescribedJob, call: BoundCall, outdir: Path) -> None:
    """Tell the path mappers where literals were written, so that an output that is one is found on this machine."""
    for mapper in (job.pathmapper, job.generatemapper):
        if mapper is None:
            continue
        for key, entry in list(mapper.items()):
            if entry.type in ("CreateFile", "CreateWritableFile"):
                below = entry.target.removeprefix(f"{call.outdir}/")
                here = str(outdir / below) if below != entry.target else entry.target
                mapper.update(key, here, entry.target, entry.type, entry.staged)
