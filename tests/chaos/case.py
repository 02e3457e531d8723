"""What a seed stands for: where the steps run, what is killed, and when."""

import random
from dataclasses import dataclass
from enum import StrEnum


class Target(StrEnum):
    """What is killed."""

    DRIVER = "driver"
    TOOL = "tool"  # a container, or a process of the machine
    SERVER = "server"
    WORKER = "worker"
    WORKER_AND_RUN = "worker-and-run"


WEIGHTS = {Target.DRIVER: 8, Target.TOOL: 2, Target.SERVER: 1, Target.WORKER: 2, Target.WORKER_AND_RUN: 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is done to one run."""

    seed: int
    backend: str
    target: Target
    moment: float  # when, as a share of an undisturbed run's time
    again: bool  # whether the first resume is killed too

    @classmethod
    def of(cls, seed: int) -> "Case":
        """Give what a seed stands for."""
        chance = random.Random(seed)
        return cls(
            seed=seed,
            backend="docker" if seed % 2 else "local",
            target=chance.choices(list(WEIGHTS), weights=list(WEIGHTS.values()))[0],
            moment=chance.uniform(0.2, 1.0),
            again=chance.random() < 0.3,
        )

    @property
    def deployed(self) -> bool:
        """Whether the run is one of a deployment, which a worker starts."""
        return self.target in (Target.WORKER, Target.WORKER_AND_RUN)

    def __str__(self) -> str:
        return f"{self.seed}-{self.backend}-{self.target}-{self.moment:.2f}{'-again' if self.again else ''}"
