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


AT_WORK = 0.75  # share of the cases that are killed when calls run or have ended, and not while the run starts


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is done to one run."""

    seed: int
    backend: str
    target: Target
    at_work: bool  # whether a call has begun by then
    moment: float  # when, as a share of the time that this part of an undisturbed run takes
    again: bool  # whether the first resume is killed too
    wide: bool  # whether the scatter is wide: its calls share task runs, and are kept as a whole too

    @classmethod
    def of(cls, seed: int) -> "Case":
        """Give what a seed stands for."""
        chance = random.Random(seed)
        return cls(
            seed=seed,
            backend="docker" if seed % 2 else "local",
            target=chance.choices(list(WEIGHTS), weights=list(WEIGHTS.values()))[0],
            at_work=chance.random() < AT_WORK,
            moment=chance.random(),
            again=chance.random() < 0.3,
            wide=chance.random() < 0.5,
        )

    @property
    def deployed(self) -> bool:
        """Whether the run is one of a deployment, which a worker starts."""
        return self.target in (Target.WORKER, Target.WORKER_AND_RUN)

    def __str__(self) -> str:
        part = "work" if self.at_work else "start"
        more = f"{'-again' if self.again else ''}{'-wide' if self.wide else ''}"
        return f"{self.seed}-{self.backend}-{self.target}-{part}-{self.moment:.2f}{more}"
