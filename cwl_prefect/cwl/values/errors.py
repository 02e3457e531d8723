"""The border at which what goes wrong in a call gets the call's name, and foreign errors become ours."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from cwl_prefect.cwl.javascript.engine import JavascriptError
from cwl_prefect.cwl.values.messages import short_path
from cwl_prefect.errors import CwlPrefectError, ExpressionError, Fault, InputError, Place, StepError
from cwl_prefect.model.values import TOO_DEEP


@contextmanager
def call_errors(what: str, *, places: Mapping[str, str] | None = None) -> Iterator[None]:
    """Name the call in every error, and where in its document it is.

    Args:
        what: Name of the call.
        places: Where the parts of what is called stand, as a plan has them.
    """
    try:
        with part_errors(what):
            yield
    except CwlPrefectError as error:
        if places:
            put_place(error, places)
        if isinstance(error, StepError):
            error.step = error.step or what
        raise
    except RecursionError as error:
        raise StepError(f"{what}: a value cannot be used: {TOO_DEEP}.", step=what) from error


class part_errors:  # noqa: N801 - used like a function, for each value: a generator would take as long as binding it
    """Name the part of a call, such as an input, in every error; errors of JavaScript and files become ours."""

    __slots__ = ("_part",)

    def __init__(self, part: str) -> None:
        self._part = part

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Raise what is to be raised instead."""
        if isinstance(error, CwlPrefectError):
            _name(error, self._part)
        elif error is not None and (ours := readable(error)) is not None:
            _name(ours, self._part)
            raise ours from error


def _name(error: CwlPrefectError, part: str) -> None:
    error.message = f"{part}: {error.message}"
    error.faults = (Fault(text=error.message),)
    error.parts = (part, *error.parts)


def put_place(error: CwlPrefectError, places: Mapping[str, str]) -> None:
    """Put the place of what an error is of before its text: of its expression, else of its part, else of the whole."""
    wanted = (error.expression, *reversed(error.parts), "")
    found = next((places[each] for each in wanted if each is not None and each in places), None)
    if found is not None and error.faults[0].place is None:
        document, line, column = found.rsplit(":", 2)
        error.put(Place(document=short_path(document), line=int(line), column=int(column)))


def readable(error: BaseException) -> CwlPrefectError | None:
    """Return an error of JavaScript or of the file system as one of this package; None for any other."""
    if isinstance(error, JavascriptError):
        found = ExpressionError(error.message, hint=error.hint)
        found.expression = error.text
        return found
    if isinstance(error, OSError):
        return InputError(
            f"{error.filename or ''}: {error.strerror or error}.",
            hint="Check that the file exists on this machine and can be read.",
        )
    return None
