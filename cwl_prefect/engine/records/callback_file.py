"""Callbacks written in a YAML file, for those who call no Python."""

from collections.abc import Callable
from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated, Self, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic import model_validator as checked

from cwl_prefect.configuration import read_given
from cwl_prefect.errors import UsageError
from cwl_prefect.model.callbacks import Action, Callback, Command, Happening, Level, Moment, Notification, Webhook


def read_callbacks(path: Path) -> tuple[Callback, ...]:
    """Read the callbacks of a file.

    Raises:
        UsageError: The file cannot be read, or is not a list of callbacks.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        found = YAML(typ="safe", pure=True).load(read_given(path, "the callbacks"))
        entries = TypeAdapter(list[_Entry]).validate_python([] if found is None else found)
    except YAMLError as error:
        raise UsageError(f"{path} is no YAML: {error}") from error
    except ValidationError as error:
        problems = "; ".join(_problem(each["loc"], each["msg"]) for each in error.errors(include_url=False))
        raise UsageError(
            f"{path}: {problems}",
            hint="each entry has `on` and one of command, webhook, notify and python, and perhaps step or call.",
        ) from error
    return tuple(entry.callback() for entry in entries)


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _url(value: str) -> str:
    if not value.startswith(("http://", "https://")):
        raise ValueError("not an http or https address")
    return value


def _block(value: str) -> str:
    if value.count("/") != 1 or value.startswith("/") or value.endswith("/"):
        raise ValueError("not a block, as slack-webhook/team")
    return value


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    on: Annotated[frozenset[Moment], BeforeValidator(_listed), Field(min_length=1)] = frozenset({Moment.ALWAYS})
    step: str | None = None
    call: str | None = None
    command: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    webhook: Annotated[str, AfterValidator(_url)] | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    notify: Annotated[str, AfterValidator(_block)] | None = None
    python: Annotated[str, Field(pattern=r"^[\w.]+:[\w.]+$")] | None = None
    timeout_s: float = Field(default=30.0, gt=0, le=3600)

    @checked(mode="after")
    def _has_one_of_each(self) -> Self:
        actions = [self.command, self.webhook, self.notify, self.python]
        if sum(action is not None for action in actions) != 1:
            raise ValueError("needs exactly one of command, webhook, notify and python")
        if self.step is not None and self.call is not None:
            raise ValueError("step and call exclude each other")
        return self

    def callback(self) -> Callback:
        """Return what the entry asks for; without step and call it is about the workflow."""
        level = Level.STEP if self.step is not None else Level.CALL if self.call is not None else Level.WORKFLOW
        name = self.step or self.call or "*"
        return Callback(action=self._action(), on=self.on, level=level, name=name, timeout_s=self.timeout_s)

    def _action(self) -> Action:
        if self.command is not None:
            return Command(arguments=self.command)
        if self.webhook is not None:
            return Webhook(url=self.webhook, headers=self.headers)
        if self.notify is not None:
            return Notification(block=self.notify)
        return _function(self.python or "")


def _function(reference: str) -> Callable[[Happening], object]:
    try:
        found: object = resolve_name(reference)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"the callback {reference} cannot be imported: {error}.") from error
    if not callable(found):
        raise UsageError(f"the callback {reference} is no function.")
    return cast("Callable[[Happening], object]", found)


def _problem(place: tuple[int | str, ...], message: str) -> str:
    where = f"entry {int(place[0]) + 1}" if place and isinstance(place[0], int) else "it"
    field = ".".join(str(part) for part in place[1:])
    return f"{where}{f', {field}' if field else ''}: {message.removeprefix('Value error, ')}"
