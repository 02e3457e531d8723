"""Reading Kubernetes objects, which are plain JSON here: whatever is absent reads as empty."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TypeAlias

from pydantic import JsonValue, TypeAdapter

from cwl_prefect.backends.naming import resource_name

KubernetesObject: TypeAlias = dict[str, JsonValue]
"""A manifest, a status, or a part of one."""

_LONGEST_NAME = 63
_LONGEST_LABEL = 63


_OBJECT: TypeAdapter[KubernetesObject] = TypeAdapter(KubernetesObject)


def read(content: bytes | str) -> KubernetesObject:
    """Return the object that JSON holds.

    Raises:
        ValueError: It is no JSON, or holds something else.
    """
    return _OBJECT.validate_json(content)


def part(of: Mapping[str, JsonValue], *path: str) -> KubernetesObject:
    """Return a nested object, empty where it is absent."""
    found: JsonValue = dict(of)
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def parts(of: Mapping[str, JsonValue], *path: str) -> list[KubernetesObject]:
    """Return the objects of a nested list, none where it is absent."""
    found = part(of, *path[:-1]).get(path[-1])
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def text(of: Mapping[str, JsonValue], *path: str) -> str:
    """Return a nested string, empty where it is absent."""
    found = part(of, *path[:-1]).get(path[-1])
    return found if isinstance(found, str) else ""


def number(of: Mapping[str, JsonValue], *path: str) -> int | None:
    """Return a nested whole number, or None where it is absent."""
    found = part(of, *path[:-1]).get(path[-1])
    return found if isinstance(found, int) else None


def moment(of: Mapping[str, JsonValue], *path: str) -> datetime | None:
    """Return a nested point in time, or None where it is absent."""
    found = text(of, *path)
    try:
        return datetime.fromisoformat(found).astimezone(UTC) if found else None
    except ValueError:
        return None


def conditions(of: Mapping[str, JsonValue], *, kind: str) -> Iterator[KubernetesObject]:
    """Yield the conditions of one kind in an object's status."""
    for condition in parts(of, "status", "conditions"):
        if condition.get("type") == kind:
            yield condition


def end_of(job: Mapping[str, JsonValue]) -> KubernetesObject | None:
    """Return the condition by which a Job has ended, well or badly; None while it goes on."""
    ends = (condition for kind in ("Failed", "Complete") for condition in conditions(job, kind=kind))
    return next((condition for condition in ends if condition.get("status") == "True"), None)


def job_name(job_id: str) -> str:
    """Return the name of a call's Job: the same for the same call, in whichever process."""
    return resource_name(job_id, limit=_LONGEST_NAME)


def label_value(value: str) -> str:
    """Spell a value as a label may hold it; different values stay different.

    Kubernetes allows 63 letters, digits, dots, dashes and underscores, with a letter or digit at both ends.
    """
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", value)[:_LONGEST_LABEL]
    if plain == value and (not plain or (plain[0].isalnum() and plain[-1].isalnum())):
        return plain
    digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    readable = plain[: _LONGEST_LABEL - len(digest) - 1].strip("._-")
    return f"{readable}-{digest}" if readable else digest


def selector(labels: Mapping[str, str]) -> str:
    """Return the label selector for objects that have all these labels."""
    return ",".join(f"{name}={label_value(value)}" for name, value in sorted(labels.items()))
