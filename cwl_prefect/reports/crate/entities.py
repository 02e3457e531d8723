"""The entities of a crate: a flat graph of JSON-LD, in which each has an ``@id`` of its own."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TypeAlias
from urllib.parse import quote

from pydantic import JsonValue

Entity: TypeAlias = dict[str, JsonValue]


class Entities:
    """Entities in the order in which they were added; references to others are added one by one, and count once."""

    def __init__(self) -> None:
        self._found: dict[str, Entity] = {}
        self._links: dict[str, dict[str, dict[str, None]]] = {}  # by entity and property

    def __contains__(self, identifier: str) -> bool:
        """Check whether there is an entity."""
        return identifier in self._found

    def add(self, identifier: str, kind: str | Sequence[str], /, **members: JsonValue) -> str:
        """Add an entity where there is none of this identifier yet; members that are None are left out.

        Returns:
            The identifier.
        """
        if identifier not in self._found:
            known = {name: value for name, value in members.items() if value is not None}
            self._found[identifier] = {
                "@id": identifier,
                "@type": kind if isinstance(kind, str) else list(kind),
                **known,
            }
        return identifier

    def link(self, identifier: str, name: str, target: str) -> None:
        """Let a property of an entity refer to another."""
        self._links.setdefault(identifier, {}).setdefault(name, {})[target] = None

    def of_kind(self, *kinds: str) -> list[str]:
        """Return the identifiers of all entities that have one of these types."""
        return [identifier for identifier, found in self._found.items() if _has_kind(found, kinds)]

    def graph(self) -> list[Entity]:
        """Return all entities with their references."""
        return [{**found, **self._references(identifier)} for identifier, found in self._found.items()]

    def _references(self, identifier: str) -> Entity:
        links = self._links.get(identifier, {})
        return {name: _referring(list(targets)) for name, targets in links.items()}


def quoted(name: str) -> str:
    """Return a name as part of an ``@id``."""
    return quote(name, safe="", errors="replace")


def moment(at: float | None) -> str | None:
    """Write seconds since 1970 as a date and time (ISO 8601)."""
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def _has_kind(found: Entity, kinds: Sequence[str]) -> bool:
    own = found["@type"]
    return any(kind in (own if isinstance(own, list) else [own]) for kind in kinds)


def _referring(targets: list[str]) -> JsonValue:
    references: list[JsonValue] = [{"@id": target} for target in targets]
    return references[0] if len(references) == 1 else references
