"""The key of a call: everything that can change its result, and nothing else (``docs/reference/cache-key.md``)."""

from collections.abc import Iterable, Mapping

from cwl_prefect.engine.cache.fingerprint import Fingerprints, NotReusableError, canonical, digest, in_order
from cwl_prefect.model.cache import KEY_SCHEME, RESOURCES, CallKey, Read, ToolIdentity
from cwl_prefect.model.values import CwlObject, CwlValue, file_objects

_LONGEST_PART = 1500  # characters of a part that is kept for people; of a longer one its digest


def call_key(
    identity: ToolIdentity, values: Mapping[str, CwlValue], runner: Mapping[str, CwlValue], fingerprints: Fingerprints
) -> CallKey | None:
    """Make the key of a call.

    Args:
        identity: What of its tool matters.
        values: Its inputs.
        runner: What the tool runs in: the image by its digest, or this machine and the command that it finds; an
            entry ``name`` is for people only.
        fingerprints: Takes the fingerprints of files; it must be new.

    Returns:
        The key, or None where checksums must be computed first (``fingerprints.unread``).

    Raises:
        NotReusableError: The call has none.
    """
    if identity.obstacle is not None:
        raise NotReusableError(identity.obstacle)
    effective = effective_inputs(identity, values)
    formats = [Read(port=None, field="format", expression="")] if identity.formats else []
    if identity.ordered:
        effective = {port: in_order(value) for port, value in effective.items()}
    parts: CwlObject = {
        "scheme": KEY_SCHEME,
        "tool": dict(identity.parts),
        "inputs": {port: fingerprints.of(value) for port, value in effective.items() if value is not None},
        "formats": seen(formats, effective, identity.resources),
        "requirements": {name: _settled(entry, fingerprints) for name, entry in sorted(identity.requirements.items())},
        "runner": {name: item for name, item in runner.items() if name != "name"},
    }
    if fingerprints.unread:
        return None
    return CallKey(digest=digest(parts), parts={**parts, "runner": dict(runner)})


def effective_inputs(identity: ToolIdentity, values: Mapping[str, CwlValue]) -> CwlObject:
    """Return the value of each input that the tool declares, or its default."""
    return {port: _given(values.get(port), identity.defaults.get(port)) for port in sorted(identity.ports)}


def seen(reads: Iterable[Read], inputs: Mapping[str, CwlValue], resources: CwlValue) -> CwlObject:
    """Return what a call gives to expressions that read these fields, by who reads what; of something long its digest.

    Args:
        reads: What the expressions of an earlier call with the same key read.
        inputs: The call's inputs, or their defaults.
        resources: What its tool asks for of the machine.
    """
    found: CwlObject = {}
    for read in reads:
        if read.field == RESOURCES:
            found[f"{read.expression} reads what the tool asks for of the machine"] = _short(resources)
            continue
        what = "names of the fields" if read.field == "*" else read.field
        for port in inputs if read.port is None else (read.port,):
            values = [_field(each, read.field) for each in file_objects(inputs.get(port))]
            found[f"{read.expression} reads the {what} of input `{port}`"] = _short(values)
    return found


def narrowed(key: CallKey, seen: CwlObject) -> CallKey:
    """Return the key of a call that gives its expressions something else than the call which has its key so far."""
    return CallKey(digest=digest({"key": key.digest, "seen": seen}), parts={**key.parts, "seen": seen})


def for_people(key: CallKey) -> CallKey:
    """Keep each part of a key as it is where it is short, and else its digest, for a later look at what changed."""
    kept: CwlObject = {}
    for name, part in key.parts.items():
        kept[name] = {inner: _short(item) for inner, item in part.items()} if isinstance(part, dict) else part
    return CallKey(digest=key.digest, parts=kept)


def _field(found: CwlObject, name: str) -> CwlValue:
    """Return what is in a field, or which fields there are; of a listing the names, as its files are there too."""
    if name == "*":
        return list(found)
    if name == "location":
        return found.get("location") or found.get("path")
    return _names(found.get(name)) if name == "listing" else found.get(name)


def _names(listing: CwlValue) -> CwlValue:
    if not isinstance(listing, list):
        return listing
    return [
        [item.get("class"), item.get("basename"), _names(item.get("listing"))]
        for item in listing
        if isinstance(item, dict)
    ]


def _given(value: CwlValue, default: CwlValue) -> CwlValue:
    return default if value is None else value


def _settled(entry: CwlValue, fingerprints: Fingerprints) -> CwlValue:
    """Replace the files in a requirement by their fingerprints, where there are any."""
    return fingerprints.of(entry) if next(file_objects(entry), None) is not None else entry


def _short(part: CwlValue) -> CwlValue:
    if part is None or isinstance(part, bool | int | float):
        return part
    text = canonical(part)
    return part if len(text) <= _LONGEST_PART else {"digest": digest(part)}
