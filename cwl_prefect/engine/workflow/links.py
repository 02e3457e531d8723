"""From the values at a link's sources to the one value of its port."""

from collections.abc import Sequence

from pydantic import JsonValue

from cwl_prefect.errors import InputError
from cwl_prefect.model.plan import Link, LinkMerge, PickValue


def merge(link: Link, values: Sequence[JsonValue]) -> JsonValue:
    """Value a port before ``valueFrom`` (CWL Workflow, §WorkflowStepInput, §LinkMergeMethod, §PickValueMethod).

    A lone source is taken as it is, also when it is written as a list of one, unless ``linkMerge`` is written too.
    Two or more are merged, nested where nothing else is said. ``pickValue`` then chooses among the elements: of a lone
    source that gives an array, among those of the array, else among the one value that there is. The default stands in
    for a null. The result shares its parts with the values: change neither.

    Args:
        link: The link.
        values: One value for each source of the link, in the same order.

    Raises:
        InputError: ``pickValue`` asks for a value that is not there, or finds more than one.
        ValueError: There is not one value for each source.
    """
    if len(values) != len(link.sources):
        msg = f"{link.port} has {len(link.sources)} sources, not {len(values)}"
        raise ValueError(msg)
    value = _pick(link, _combine(link, values))
    return link.default if value is None else value


def merge_incomplete(link: Link, values: Sequence[JsonValue], whole: Sequence[bool]) -> JsonValue:
    """Value an output of the workflow as far as it can be told where some of its sources failed.

    What they did not give is null in its place. Where one value is to be picked, it is only picked if the sources that
    failed could not have been picked in its stead.

    Args:
        link: The link.
        values: One value for each source of the link, in the same order: for one that failed what it could still give.
        whole: For each source, whether it did not fail.
    """
    if link.pick_value is PickValue.THE_ONLY_NON_NULL and not all(whole):
        return None
    if link.pick_value is PickValue.FIRST_NON_NULL and not all(whole):
        sure = list(whole).index(False)
        values = [*values[:sure], *(None for _ in values[sure:])]
    return None if all(value is None for value in values) else merge(link, values)


def _combine(link: Link, values: Sequence[JsonValue]) -> JsonValue:
    if not values:
        return None
    if len(values) == 1 and link.link_merge is None and (link.pick_value is None or isinstance(values[0], list)):
        return values[0]
    match link.link_merge:
        case LinkMerge.NESTED | None:
            return list(values)
        case LinkMerge.FLATTENED:
            return [item for value in values for item in (value if isinstance(value, list) else [value])]


def _pick(link: Link, value: JsonValue) -> JsonValue:
    if link.pick_value is None or not isinstance(value, list):
        return value
    present = [item for item in value if item is not None]
    match link.pick_value:
        case PickValue.ALL_NON_NULL:
            return list(present)
        case PickValue.FIRST_NON_NULL:
            return _first(link, present)
        case PickValue.THE_ONLY_NON_NULL:
            return _only(link, present)


def _first(link: Link, present: Sequence[JsonValue]) -> JsonValue:
    if present:
        return present[0]
    msg = f"every source of '{link.port}' is null ({_origins(link)}), but its pickValue {link.pick_value} needs a value"
    raise InputError(msg, hint="make sure that at least one of the conditional steps runs, or make the port optional")


def _only(link: Link, present: Sequence[JsonValue]) -> JsonValue:
    if len(present) <= 1:
        return _first(link, present)
    found = f"{len(present)} values of '{link.port}' are not null ({_origins(link)})"
    msg = f"{found}, but its pickValue {link.pick_value} takes one"
    raise InputError(msg, hint="make the conditions exclude each other, or use first_non_null or all_non_null")


def _origins(link: Link) -> str:
    return ", ".join(f"{source.step}/{source.port}" if source.step else source.port for source in link.sources)
