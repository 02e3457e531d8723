"""Names that somebody could have meant by one that is not known."""

from collections.abc import Iterable
from difflib import get_close_matches


def near(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most like another, if one is like it at all; case does not count."""
    by_case = {each.lower(): each for each in known}
    found = get_close_matches(name.lower(), by_case, n=1)
    return by_case[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str], *, otherwise: str) -> str:
    """Return what to do about an unknown name: the nearest one, or those that there are."""
    names = list(dict.fromkeys(known))
    found = near(name, names)
    if found is not None:
        return f"did you mean {found!r}?"
    return f"{otherwise} {', '.join(map(repr, names))}." if names else f"{otherwise} none."
