"""Stand for the question whether a Docker engine answers."""

from collections.abc import Awaitable, Callable


def answer(*, found: bool) -> Callable[[], Awaitable[bool]]:
    """Return what tells that an engine answers, or that none does."""

    async def answers() -> bool:
        return found

    return answers
