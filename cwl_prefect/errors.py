"""Every error that a user of cwl-prefect can meet.

::

    CwlPrefectError                 exit code  1
    ├── UsageError                             2   the command line or a setting is wrong
    ├── DocumentError                         10   a CWL document cannot be loaded or is not valid
    ├── InputError                            11   a job order does not fit its workflow, or a run is not as needed
    ├── ResourceError                         12   a step asks for more than may be used
    ├── StepError                             13   a step ran and failed, or could not be run
    │   ├── ExpressionError                   14   an expression threw, ran too long or used too much memory
    │   ├── OutputError                       15   a step's outputs are not what it declares
    │   ├── TemporaryStepError                16   a step failed with one of its temporaryFailCodes
    │   ├── MemoryStepError                   22   a step used more memory than it may
    │   └── LostStepError                     23   a step was ended by the machine or engine that it ran on
    ├── BackendError                          17   containers or processes cannot be run
    │   └── ImageError                        18   an image cannot be had
    ├── ServerError                           19   no Prefect API can be reached or started
    ├── PublishError                          20   results cannot be written to their destination
    ├── TimeLimitError                        21   the whole run took longer than allowed
    ├── PartialRunError                       24   some of what was asked for failed, the rest was done
    ├── StorageError                          25   what lies at a URL cannot be read or written
    ├── UnsupportedError                      33   a feature that this runner does not have, as CWL runners report it
    └── InterruptedRunError                  130   stopped by Ctrl-C, SIGTERM or a closed terminal
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where something stands in a document or job order; lines and columns count from 1."""

    document: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.document}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault of a document, where it is (None where that is not known), and what to do about it."""

    text: str
    place: Place | None = None
    fix: str | None = None

    def __str__(self) -> str:
        return self.text if self.place is None else f"{self.place}: {self.text}"


class CwlPrefectError(Exception):
    """What every error of this package derives from; its text is written for the user.

    Attributes:
        exit_code: What the command line exits with.
        hint: What the user can do next, or None where nothing is known.
        try_again: Whether another try of the call that it ended is due.
        told: Whether a task run that it ended has told all of it in the run's log.
        faults: What the text says, fault by fault, each with its place.
        parts: What it happened in, from the call or workflow inwards, as ``("align[3]", "input reads")``.
        expression: The text of a document that holds the expression that failed, if one did.

    Examples:
        >>> from cwl_prefect import CwlPrefectError, load_plan
        >>> try:
        ...     load_plan("no-such.cwl")
        ... except CwlPrefectError as error:
        ...     print(type(error).__name__, error.exit_code)
        DocumentError 10
    """

    exit_code: ClassVar[int] = 1
    try_again: bool = False
    told: bool = False
    parts: tuple[str, ...] = ()
    expression: str | None = None

    def __init__(self, message: str, *, hint: str | None = None, faults: Sequence[Fault] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.faults = tuple(faults) or (Fault(text=message),)

    def __str__(self) -> str:
        text = self.message if self.hint is None else f"{self.message}\nTo fix: {self.hint}"
        return text.encode(errors="backslashreplace").decode()  # names of files may be no text, which Prefect refuses

    def put(self, place: Place) -> None:
        """Put a place before the text; one that is there already goes behind it."""
        known, text = self.faults[0].place, self.message
        if known is not None:
            first, newline, more = text.removeprefix(f"{known}: ").partition("\n")
            text = f"{first.removesuffix('.')} (declared at {known}).{newline}{more}"
        self.message = f"{place}: {text}"
        self.args = (self.message,)
        self.faults = (Fault(text=text, place=place),)

    def naming(self, name: str) -> Self:
        """Return the same error with what it happened to before its text; all else that it carries stays."""
        named = copy.copy(self)
        named.message = f"{name}: {self.message}"
        named.args = (named.message,)
        return named


class UsageError(CwlPrefectError):
    """The command line or a setting is wrong."""

    exit_code = 2


class DocumentError(CwlPrefectError):
    """A CWL document cannot be read, parsed or is not valid CWL; the text names file, line and column."""

    exit_code = 10


class InputError(CwlPrefectError):
    """A job order does not fit its workflow or names a file that does not exist, or a run is not as needed."""

    exit_code = 11


class ResourceError(CwlPrefectError):
    """A step asks for more cores or memory than the run may use at all."""

    exit_code = 12


class StepError(CwlPrefectError):
    """A step failed; the text holds the evidence.

    Attributes:
        step: Path of the step with its index, as ``align[3]``; None outside any step.
        exit_status: Exit status of the tool, or None where it never ran to an end.
    """

    exit_code = 13

    def __init__(
        self,
        message: str,
        *,
        step: str | None = None,
        exit_status: int | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.step = step
        self.exit_status = exit_status

    def at_step(self, step: str) -> Self:
        """Return the same error as one of a step; all else that it carries stays."""
        placed = copy.copy(self)
        placed.step = step
        return placed


class ExpressionError(StepError):
    """A CWL expression threw, did not end in time, or used too much memory."""

    exit_code = 14


class OutputError(StepError):
    """A step ended well, yet its outputs are missing, of the wrong type, or outside the output directory."""

    exit_code = 15


class TemporaryStepError(StepError):
    """A step failed with one of its ``temporaryFailCodes``; trying again may help."""

    exit_code = 16


class MemoryStepError(StepError):
    """A step used more memory than it may and was killed."""

    exit_code = 22


class LostStepError(StepError):
    """A step was ended by the machine or engine that it ran on (evicted, preempted, lost), by no fault of its own."""

    exit_code = 23


class BackendError(CwlPrefectError):
    """Containers or processes cannot be run at all.

    Attributes:
        passing: Whether it may go away by itself, as when an engine is being restarted.
    """

    exit_code = 17

    def __init__(self, message: str, *, hint: str | None = None, passing: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.passing = passing


class ImageError(BackendError):
    """A container image cannot be pulled, loaded, imported or built."""

    exit_code = 18


class ServerError(CwlPrefectError):
    """No Prefect API can be reached, or a local server does not start."""

    exit_code = 19


class PublishError(CwlPrefectError):
    """Results cannot be written to their destination."""

    exit_code = 20


class TimeLimitError(CwlPrefectError):
    """The run took longer than ``--timeout`` allows."""

    exit_code = 21


class PartialRunError(CwlPrefectError):
    """Some of what was asked for failed; the rest was done and published (``--on-error continue``, ``--batch``)."""

    exit_code = 24


class StorageError(CwlPrefectError):
    """What lies at a URL cannot be read or written; the text names the URL without user, password and query.

    Attributes:
        passing: Whether it may go away by itself, as when a server is asked too often.
        missing: Whether nothing is there.
    """

    exit_code = 25

    def __init__(self, message: str, *, hint: str | None = None, passing: bool = False, missing: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.passing = passing
        self.missing = missing


class UnsupportedError(CwlPrefectError):
    """The document requires a feature that this runner does not have (exit code 33, as CWL runners report it)."""

    exit_code = 33


class InterruptedRunError(CwlPrefectError):
    """The run was stopped by Ctrl-C, SIGTERM or a closed terminal."""

    exit_code = 130
