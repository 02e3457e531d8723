"""Whether a file is of a format that its parameter takes, by name or by an ontology (CWL CommandLineTool, §format)."""

from collections.abc import Iterable, Iterator

Ontology = tuple[tuple[str, str, str], ...]

_SUBCLASS = "http://www.w3.org/2000/01/rdf-schema#subClassOf"
_EQUIVALENT = "http://www.w3.org/2002/07/owl#equivalentClass"


def is_of(format_: str, wanted: Iterable[str], ontology: Ontology) -> bool:
    """Check whether a format is one of those wanted, or narrower than or equal to one of them."""
    accepted = frozenset(wanted)
    return format_ in accepted or any(wider in accepted for wider in _wider(format_, ontology))


def _wider(format_: str, ontology: Ontology) -> Iterator[str]:
    seen, waiting = {format_}, [format_]
    while waiting:
        narrow = waiting.pop()
        for subject, relation, object_ in ontology:
            if subject == narrow and relation in (_SUBCLASS, _EQUIVALENT):
                found = object_
            elif object_ == narrow and relation == _EQUIVALENT:
                found = subject
            else:
                continue
            if found not in seen:
                seen.add(found)
                waiting.append(found)
                yield found
