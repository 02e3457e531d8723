"""YAML read by libyaml where ruamel.yaml gives the same, in a third of the time: editors read at each change."""

from collections.abc import Iterator
from typing import Any

import yaml
from ruamel.yaml import events
from ruamel.yaml.error import YAMLError
from schema_salad.utils import yaml_no_ts

_NODES = (yaml.ScalarEvent, yaml.SequenceStartEvent, yaml.MappingStartEvent)


def parsed_quickly(text: str) -> Any:
    """Return the value of a document as schema-salad reads it, with all places; None where only its own parser can.

    That is so of what is no YAML, whose fault that parser tells, of tags, of directives, and of values that are left
    out, which that parser puts elsewhere.
    """
    if not yaml.__with_libyaml__ or "\t" in text:
        return None
    try:
        found = list(yaml.parse(text, Loader=yaml.CBaseLoader))
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    if not all(_is_plain(event) for event in found):
        return None
    reader = yaml_no_ts()
    reader.allow_duplicate_keys = True
    reader.Parser = lambda loader: _Parser(found, loader)
    try:
        return next(iter(reader.load_all("")), None)
    except YAMLError:
        return None


def _is_plain(event: Any) -> bool:
    if isinstance(event, yaml.DocumentStartEvent):
        return event.version is None and not event.tags
    is_absent = isinstance(event, yaml.ScalarEvent) and event.implicit[0] and not event.value
    return not is_absent and (not isinstance(event, _NODES) or event.tag is None)


class _Parser:
    """Stands in for ruamel.yaml's parser: hands its composer what libyaml found."""

    def __init__(self, found: list[Any], loader: Any) -> None:
        self.loader = loader
        self._events = [*_translated(found)]
        self._next = 0

    def check_event(self, *kinds: type) -> bool:
        """Check whether the next event is one of some kinds, or whether there is one."""
        if self._next >= len(self._events):
            return False
        return not kinds or isinstance(self._events[self._next], kinds)

    def peek_event(self) -> Any:
        """Return the next event, which stays the next."""
        return self._events[self._next]

    def get_event(self) -> Any:
        """Return the next event, and go on."""
        self._next += 1
        return self._events[self._next - 1]

    def dispose(self) -> None:
        """Hold nothing, as the parser that it stands in for lets go of what it reads."""


def _translated(found: list[Any]) -> Iterator[Any]:
    for event in found:
        marks = (event.start_mark, event.end_mark)
        match event:
            case yaml.ScalarEvent():
                style = event.style or None
                yield events.ScalarEvent(event.anchor, None, event.implicit, event.value, *marks, style=style)
            case yaml.SequenceStartEvent():
                yield events.SequenceStartEvent(event.anchor, None, event.implicit, *marks, event.flow_style)
            case yaml.MappingStartEvent():
                yield events.MappingStartEvent(event.anchor, None, event.implicit, *marks, event.flow_style)
            case yaml.AliasEvent():
                yield events.AliasEvent(event.anchor, *marks)
            case yaml.DocumentStartEvent():
                yield events.DocumentStartEvent(*marks, explicit=event.explicit)
            case yaml.DocumentEndEvent():
                yield events.DocumentEndEvent(*marks, explicit=event.explicit)
            case _:
                yield getattr(events, type(event).__name__)(*marks)
