"""What the user sees when something goes wrong: one message on standard error and an exit code, never a traceback."""

import asyncio
import errno
import re
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from pathlib import Path

from cwl_prefect._lib.destinations import without_login
from cwl_prefect._lib.own_files import make_private
from cwl_prefect.cli.exit_codes import BROKEN_PIPE, INTERNAL_ERROR
from cwl_prefect.cli.terminal import complain, silence_standard_output
from cwl_prefect.engine.outputs.tail import shortened
from cwl_prefect.environment import environment
from cwl_prefect.errors import CwlPrefectError, InterruptedRunError, UsageError
from cwl_prefect.server.configured_api import demand_harmless_settings
from cwl_prefect.settings import Settings, origin

_OPTIONS = {"max_ram_mib": "--max-ram", "max_calls": "--parallel", "run_timeout_s": "--timeout"}  # not spelled alike

_EXHAUSTED = frozenset(
    (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EIO)
)
_WRONG_NAME = frozenset((errno.ENAMETOOLONG, errno.ELOOP))
_MOST_SHOWN = 80  # characters of a name
_FREE = "Check free space, memory, and the limits that `ulimit -a` shows."


def settings_with(overrides: Mapping[str, object]) -> Settings:
    """Make the settings of one command: environment and files, overridden by what the command line gives (not None).

    Raises:
        UsageError: A value is not allowed; the text names the option, variable or file. Or Prefect would read here what
            others could have written, or what names code.
    """
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    demand_harmless_settings(environment(), Path.cwd())
    given = {name: value for name, value in overrides.items() if value is not None}
    made: Callable[..., Settings] = Settings
    try:
        return made(**given)
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
    """Print an error for the user, and return the exit code for it."""
    if isinstance(error, BrokenPipeError):
        silence_standard_output()
        return BROKEN_PIPE
    told = _told(error)
    if told is None:
        return _report_bug(error)
    complain(f"Error: {told}")
    return told.exit_code


def _told(error: BaseException) -> CwlPrefectError | None:
    """Return what an error says to whoever gave a command; None for what only a fault of this package raises."""
    match error:
        case CwlPrefectError():
            return error
        case ValueError():
            return _prefects_settings_error(error)
        case KeyboardInterrupt():
            return InterruptedRunError("Stopped.")
        case OSError() if error.errno in _WRONG_NAME:
            name = shortened(str(error.filename), _MOST_SHOWN)
            return UsageError(f"{name}: {error.strerror}.", hint="Give another name.")
        case OSError() | MemoryError() | RuntimeError() if _is_of_machine(error):
            return CwlPrefectError(f"This machine failed: {str(error) or 'there is no memory left'}.", hint=_FREE)
        case _:
            return None


def _prefects_settings_error(error: ValueError) -> UsageError | None:
    """Return what is wrong with settings of Prefect, where that is what an error says: Prefect cannot be imported then.

    Values are not shown, as they may be secret.
    """
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return None
    models = (module for name, module in sys.modules.items() if name.startswith("prefect.settings.models"))
    model = next((found for module in models if (found := getattr(module, error.title, None)) is not None), None)
    if model is None:
        return None
    prefix = str(model.model_config.get("env_prefix"))
    found = (("_".join(map(str, each["loc"])), each["msg"].removeprefix("Value error, ")) for each in error.errors())
    texts = (f"{prefix}{name.upper()}: {text}" if name else f"settings of Prefect: {text}" for name, text in found)
    return UsageError(
        f"{'; '.join(texts)}.",
        hint="correct it where Prefect reads it: the environment, .env, prefect.toml, pyproject.toml, or its profile.",
    )


def _is_of_machine(error: Exception) -> bool:
    """Check whether an error says that this machine, or a limit of the user, has no more to give."""
    if isinstance(error, OSError):
        return error.errno in _EXHAUSTED
    return isinstance(error, MemoryError) or str(error) == "can't start new thread"


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
            make_private(directory)
            with tempfile.NamedTemporaryFile("w", dir=directory, prefix=prefix, suffix=".log", delete=False) as file:
                file.write(text)
            return Path(file.name)
        except OSError:
            continue
    return None


def _log_directory() -> Path | None:
    try:
        return Settings().home / "logs"
    except (ValueError, UsageError):  # the settings themselves are wrong
        return None


def _named(name: str) -> str:
    """Return what a person wrote to set a setting."""
    found = origin(name)
    return f"CWL_PREFECT_{name.upper()}" if found is None or found.startswith("CWL_") else f"{found}: {name}"


def _settings_error(problems: object, given: Mapping[str, object]) -> UsageError:
    texts = []
    for problem in problems if isinstance(problems, list) else []:
        name = str(problem["loc"][0]) if problem["loc"] else "settings"
        option = _OPTIONS.get(name, f"--{name.replace('_', '-')}")
        source = option if name in given else _named(name)
        given_value = problem["input"]
        shown = without_login(given_value) if isinstance(given_value, str) else given_value
        texts.append(f"{source}: {problem['msg'].removeprefix('Value error, ')}, not {shown!r}")
    return UsageError("; ".join(texts) or "The settings are wrong.", hint="see `cwl-prefect run --help`.")


def lent_credentials(settings: Settings) -> AbstractContextManager[None]:
    """Return what lets the code within it use the credentials of the block that settings name, if they name one.

    Raises:
        UsageError: There is no such block, or it is none of a store.
        ServerError: No Prefect API can be reached or started, or it does not let the block be read.
    """
    if settings.storage_block is None:
        return nullcontext()
    from cwl_prefect.flows.storage_blocks import lent_by_block

    return asyncio.run(lent_by_block(settings))
