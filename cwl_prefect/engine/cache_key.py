"""The key of a call: everything that can change its result, and nothing else (``docs/reference/cache-key.md``)."""

from collections.abc import Mapping

from cwl_prefect.engine.fingerprint import Fingerprints, NotReusableError, canonical, digest, in_order
from cwl_prefect.model.cache import KEY_SCHEME, CallKey, ToolIdentity
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
    effective = {port: _given(values.get(port), identity.defaults.get(port)) for port in sorted(identity.ports)}
    if identity.ordered:
        effective = {port: in_order(value) for port, value in effective.items()}
    parts: CwlObject = {
        "scheme": KEY_SCHEME,
        "tool": dict(identity.parts),
        "inputs": {port: fingerprints.of(value) for port, value in effective.items() if value is not None},
        "requirements": {name: _settled(entry, fingerprints) for name, entry in sorted(identity.requirements.items())},
        "runner": {name: item for name, item in runner.items() if name != "name"},
    }
    if fingerprints.unread:
        return None
    return CallKey(digest=digest(parts), parts={**parts, "runner": dict(runner)})


def for_people(key: CallKey) -> CallKey:
    """Keep each part of a key as it is where it is short, and else its digest, for a later look at what changed."""
    kept: CwlObject = {}
    for name, part in key.parts.items():
        kept[name] = {inner: _short(item) for inner, item in part.items()} if isinstance(part, dict) else part
    return CallKey(digest=key.digest, parts=kept)


def _given(value: CwlValue, default: CwlValue) -> CwlValue:
    return default if value is None else value


def _settled(entry: CwlValue, fingerprints: Fingerprints) -> CwlValue:
    """Replace the files in a requirement by their fingerprints, where there are any."""
    return fingerprints.of(entry) if next(file_objects(entry), None) is not None else entry


def _short(part: CwlValue) -> CwlValue:
    text = canonical(part)
    return part if len(text) <= _LONGEST_PART else {"digest": digest(part)}
