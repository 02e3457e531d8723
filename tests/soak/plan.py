"""What a seed stands for: which runs are started when, which of them are cancelled, and what is killed."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from tests.soak.workflows import NAMES

SCHEDULED = 0.2  # share of the runs that a schedule starts
CANCELLED = 10  # one of so many is
MOST_NUMBER = 999
KILLS = 0.15  # by run


class Target(StrEnum):
    """What is killed."""

    DRIVER = "driver"
    WORKER = "worker"
    SERVER = "server"


WEIGHTS = {Target.DRIVER: 3, Target.WORKER: 2, Target.SERVER: 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """One run that somebody starts."""

    at_s: float
    pool: str
    workflow: str
    number: int
    cancel_after_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """Something of a pool that is killed."""

    at_s: float
    pool: str
    target: Target
    choice: float  # which of several drivers, as a share


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that happens in a soak, and how often a schedule starts a run on each pool."""

    starts: tuple[Start, ...]
    kills: tuple[Kill, ...]
    interval_s: int


def planned(seed: int, *, runs: int, seconds: float, pools: Sequence[str]) -> Plan:
    """Give what a seed stands for.

    Args:
        seed: Any number.
        runs: How many runs there are, those of schedules among them.
        seconds: Time in which they begin.
        pools: Names of the pools.
    """
    chance = random.Random(seed)
    scheduled = max(len(pools), round(runs * SCHEDULED))
    starts = [
        Start(
            at_s=chance.uniform(0, seconds),
            pool=pools[number % len(pools)],
            workflow=NAMES[number // len(pools) % len(NAMES)],
            number=chance.randrange(MOST_NUMBER),
            cancel_after_s=chance.uniform(1, 15) if number % CANCELLED == 0 else None,
        )
        for number in range(runs - scheduled)
    ]
    more = max(0, round(runs * KILLS) - len(Target))
    targets = [*Target, *chance.choices(list(WEIGHTS), weights=list(WEIGHTS.values()), k=more)]
    kills = [
        Kill(at_s=chance.uniform(0.1, 1) * seconds, pool=chance.choice(pools), target=target, choice=chance.random())
        for target in targets
    ]
    return Plan(
        starts=tuple(sorted(starts, key=lambda start: start.at_s)),
        kills=tuple(sorted(kills, key=lambda kill: kill.at_s)),
        interval_s=max(10, round(seconds * len(pools) / scheduled)),
    )
