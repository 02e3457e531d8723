"""A share of a machine's cores and memory."""

from dataclasses import dataclass

_PARTS = 1_000_000  # whole numbers, so that ten times 0.1 cores are one core


@dataclass(frozen=True, slots=True)
class Share:
    """Cores, and MiB of memory, in millionths, of which any number adds up without rounding."""

    cores: int
    ram: int

    @classmethod
    def of(cls, cores: float, ram_mib: float) -> "Share":
        """Return a share of so many cores and so much memory."""
        return cls(round(cores * _PARTS), round(ram_mib * _PARTS))

    @property
    def cores_and_mib(self) -> tuple[float, float]:
        """The cores, and the memory in MiB."""
        return self.cores / _PARTS, self.ram / _PARTS

    def fits(self, free: "Share") -> bool:
        """Check whether this is free."""
        return self.cores <= free.cores and self.ram <= free.ram

    def less(self, other: "Share") -> "Share":
        """Return what is left when the other is taken."""
        return Share(self.cores - other.cores, self.ram - other.ram)

    def plus(self, other: "Share") -> "Share":
        """Return what there is when the other comes back."""
        return Share(self.cores + other.cores, self.ram + other.ram)

    def portion(self, whole: "Share") -> float:
        """Return how large a part of the whole this is, by whichever it has more of."""
        return max(self.cores / whole.cores, self.ram / whole.ram)
