"""What the user sees when something goes wrong: one message on standard error and an exit code, never a traceback."""

import re
import tempfile
import traceback
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from cwl_prefect.cli.exit_codes import BROKEN_PIPE, INTERNAL_ERROR
from cwl_prefect.cli.terminal import complain, silence_standard_output
from cwl_prefect.errors import CwlPrefectError, InterruptedRunError, UsageError
from cwl_prefect.settings import Settings

_OPTIONS = {"max_ram_mib": "--max-ram", "max_calls": "--parallel", "run_timeout_s": "--timeout"}  # not spelled alike


def settings_with(overrides: Mapping[str, object]) -> Settings:
    """Make the settings of one command: the environment's, overridden by what the command line gives (not None).

    Raises:
        UsageError: A value is not allowed; the text names the variable or option.
    """
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings.model_validate({**Settings().model_dump(exclude_unset=True), **given})
    except ValidationError as exc:
        raise _settings_error(exc.errors(include_url=False), given) from exc
    except SettingsError as exc:
        found = re.search(r'field "(\w+)"', str(exc))
        name = f"CWL_PREFECT_{found[1].upper()}" if found else "The environment"
        raise UsageError(
            f"{name}: this is no JSON: {exc.__cause__}.",
            hint='write a mapping as {"align": {...}}, or a list as ["align"].',
        ) from exc


def report_failure(error: BaseException) -> int:
    """Tell the user about an error, and give the exit code for it."""
    match error:
        case CwlPrefectError():
            complain(f"Error: {error}")
            return error.exit_code
        case BrokenPipeError():
            silence_standard_output()
            return BROKEN_PIPE
        case KeyboardInterrupt():
            return report_failure(InterruptedRunError("Stopped."))
        case _:
            return _report_bug(error)


def _report_bug(error: BaseException) -> int:
    where = _write_traceback(error)
    seen = f"the traceback is in {where}" if where else "no place could be found for the traceback"
    complain(f"internal error: {type(error).__name__}: {error}\nThis is a bug in cwl-prefect; {seen}.")
    return INTERNAL_ERROR


def _write_traceback(error: BaseException) -> Path | None:
    prefix = f"internal-error-{datetime.now().astimezone():%Y%m%dT%H%M%S}-"
    text = "".join(traceback.format_exception(error))
    for directory in (_log_directory(), Path(tempfile.gettempdir())):
        if directory is None:
            continue
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=directory, prefix=prefix, suffix=".log", delete=False) as file:
                file.write(text)
            return Path(file.name)
        except OSError:
            continue
    return None


def _log_directory() -> Path | None:
    try:
        return Settings().home / "logs"
    except ValueError:  # the settings themselves are wrong
        return None


def _settings_error(problems: object, given: Mapping[str, object]) -> UsageError:
    texts = []
    for problem in problems if isinstance(problems, list) else []:
        name = str(problem["loc"][0]) if problem["loc"] else "settings"
        source = _OPTIONS.get(name, f"--{name.replace('_', '-')}") if name in given else f"CWL_PREFECT_{name.upper()}"
        texts.append(f"{source}: {problem['msg']}, not {problem['input']!r}")
    return UsageError("; ".join(texts) or "The settings are wrong.", hint="see `cwl-prefect run --help`.")
