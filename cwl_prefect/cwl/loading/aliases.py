"""YAML aliases: a few lines of them can stand for more values than any memory holds."""

import re

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

MOST_REPEATED = 1_000_000

_ALIAS = re.compile(r"(?:^|[\s\[{,:-])\*[^\s\[\]{},]", re.MULTILINE)


def repeated_too_often(text: str) -> bool:
    """Check whether the aliases of a YAML text stand for more than :data:`MOST_REPEATED` values, or hold themselves.

    A text that is not YAML is left to its parser.
    """
    if "&" not in text or _ALIAS.search(text) is None:
        return False
    try:
        documents = list(YAML(typ="safe").compose_all(text))
    except (YAMLError, RecursionError, ValueError):
        return False
    sizes: dict[int, int] = {}
    try:
        total = sum(_size(document, sizes) for document in documents if document is not None)
    except RecursionError:
        return True
    return total - len(sizes) > MOST_REPEATED


def _size(node: Node, sizes: dict[int, int]) -> int:
    """Count the values that a node stands for; one that holds itself never ends."""
    known = sizes.get(id(node))
    if known is not None:
        if known == 0:
            raise RecursionError
        return known
    sizes[id(node)] = 0
    size = 1 + sum(_size(child, sizes) for child in _children(node))
    sizes[id(node)] = size
    return size


def _children(node: Node) -> list[Node]:
    if isinstance(node, SequenceNode):
        return list(node.value)
    if isinstance(node, MappingNode):
        return [part for pair in node.value for part in pair]
    return []
