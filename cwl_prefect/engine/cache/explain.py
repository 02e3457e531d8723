"""Describe in words what makes one call another than an earlier one."""

from collections.abc import Iterable, Iterator, Mapping

from cwl_prefect.engine.cache.fingerprint import canonical
from cwl_prefect.model.cache import CacheEntry
from cwl_prefect.model.values import CwlObject, CwlValue

_LONGEST_VALUE = 60  # characters of a value that is quoted
_OF_SUBWORKFLOWS = {
    "inputs": "the declarations of the subworkflow's inputs differ",
    "outputs": "what the subworkflow's outputs come from differs",
}
_PARTS = ("scheme", "tool", "requirements", "inputs", "seen", "runner")


def nearest(parts: CwlObject, entries: Iterable[CacheEntry]) -> CacheEntry | None:
    """Find the entry that differs in the fewest parts, the latest of them; None where there is none."""
    return min(entries, key=lambda entry: (_count(parts, entry.key.parts), -entry.created_at), default=None)


def differences(now: CwlObject, before: CwlObject) -> list[str]:
    """Return what changed between the parts of two keys, one text for each change."""
    found: list[str] = []
    if now.get("scheme") != before.get("scheme"):
        found.append("the rules of the key changed with the version of cwl-prefect")
    tool = list(_changed(now, before, "tool"))
    names = [name for name, _, _ in tool]
    for name, new, old in tool:
        if not any(other.startswith(f"{name}.") for other in names):  # a step inside that one says more
            found.extend(_tool(name, new, old))
    for name, new, old in _changed(now, before, "requirements"):
        found.append(_presence(new, old, f"the requirement {name}") or f"the requirement {name} differs")
    for name, new, old in _changed(now, before, "inputs"):
        found.extend(_input(name, new, old))
    for name, new, old in _changed(now, before, "seen"):
        if new is not None and old is not None:
            found.append(f"{name}: {_now_and_before(_only(new), _only(old))}")
    runners = _part(now, "runner"), _part(before, "runner")
    return [*found, *_runner(*runners)]


def _count(now: CwlObject, before: CwlObject) -> int:
    return sum(1 for part in _PARTS for _ in _changed(now, before, part))


def _part(parts: CwlObject, name: str) -> Mapping[str, CwlValue]:
    found = parts.get(name)
    return found if isinstance(found, dict) else {}


def _changed(now: CwlObject, before: CwlObject, part: str) -> Iterator[tuple[str, CwlValue, CwlValue]]:
    new, old = _part(now, part), _part(before, part)
    for name in sorted(new.keys() | old.keys()):
        if name != "name" and canonical(new.get(name)) != canonical(old.get(name)):
            yield name, new.get(name), old.get(name)


def _presence(new: CwlValue, old: CwlValue, what: str) -> str | None:
    if old is None:
        return f"{what} is new"
    return f"{what} is gone" if new is None else None


def _tool(name: str, new: CwlValue, old: CwlValue) -> Iterator[str]:
    kind, _, port = name.partition(" ")
    if port:
        what = f"what the step `{port}` does" if kind == "step" else f"the declaration of {kind} `{port}`"
        yield _presence(new, old, what) or f"{what} differs"
    elif name == "command" and isinstance(new, dict) and isinstance(old, dict):
        for field in sorted(new.keys() | old.keys()):
            if canonical(new.get(field)) != canonical(old.get(field)):
                yield f"the tool's {field}: {_now_and_before(new.get(field), old.get(field))}"
    elif name == "cwl":
        yield f"cwlVersion: {_now_and_before(new, old)}"
    elif name in _OF_SUBWORKFLOWS:
        yield _OF_SUBWORKFLOWS[name]
    else:
        yield f"the tool's {name} differs"


def _input(name: str, new: CwlValue, old: CwlValue) -> Iterator[str]:
    what = f"input `{name}`"
    if not (_is_file(new) and _is_file(old)):
        yield _presence(new, old, what) or f"{what}: {_now_and_before(new, old)}"
        return
    assert isinstance(new, dict)  # noqa: S101
    assert isinstance(old, dict)  # noqa: S101
    fields = sorted(
        field for field in new.keys() | old.keys() if canonical(new.get(field)) != canonical(old.get(field))
    )
    if "checksum" in fields and "size" in fields:
        fields.remove("size")  # it says no more
    for field in fields:
        told = {
            "checksum": "checksum differs",
            "metadata": "path or time of change differs",
            "tree": "what is in the directory differs",
            "literal": "content differs",
            "executable": "is executable now" if new.get(field) else "is no longer executable",
        }
        yield f"{what}: {told.get(field) or f'{field} {_now_and_before(new.get(field), old.get(field))}'}"


def _runner(new: Mapping[str, CwlValue], old: Mapping[str, CwlValue]) -> Iterator[str]:
    if ("image" in new) != ("image" in old):
        yield f"it runs {'in a container' if 'image' in new else 'as a process'} now"
    elif new.get("image") != old.get("image"):
        if new.get("name") == old.get("name"):
            yield f"image {new.get('name')} moved to another digest, or its environment changed"
        else:
            yield f"image {_now_and_before(new.get('name'), old.get('name'))}"
    elif new.get("process") != old.get("process"):
        yield f"the machine is another: {_now_and_before(new.get('process'), old.get('process'))}"
    elif new.get("command") != old.get("command"):
        yield f"the program {new.get('name')} of this machine changed"


def _only(value: CwlValue) -> CwlValue:
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _is_file(value: CwlValue) -> bool:
    return isinstance(value, dict) and "class" in value


def _now_and_before(new: CwlValue, old: CwlValue) -> str:
    return f"{_quoted(new)}, was {_quoted(old)}"


def _quoted(value: CwlValue) -> str:
    text = value if isinstance(value, str) else canonical(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"
