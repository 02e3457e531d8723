"""What a run cost, by prices that its user gives for what its calls ask for."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config

from cwl_prefect.configuration import read_given
from cwl_prefect.errors import UsageError
from cwl_prefect.reports.record import CallTry, Record

_HOUR_S = 3600
_MIB_IN_GIB = 1024
_HINT = "write it as `{currency: EUR, core_hour: 0.04, gib_hour: 0.005}`."

Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Prices of what is asked for while a command runs.

    Attributes:
        currency: Of all prices.
        core_hour: Of a core for an hour.
        gib_hour: Of a GiB of memory for an hour.
    """

    currency: Annotated[str, Field(min_length=1, max_length=10)]
    core_hour: Price = 0.0
    gib_hour: Price = 0.0

    def of(self, found: CallTry) -> float | None:
        """Return what a try cost; None where it is not known what it asked for, or how long it ran."""
        if found.running_s is None or found.cores is None or found.ram_mib is None:
            return None
        rate = found.cores * self.core_hour + found.ram_mib / _MIB_IN_GIB * self.gib_hour
        return found.running_s / _HOUR_S * rate


_PRICES = TypeAdapter(Prices)


def read_prices(path: Path) -> Prices:
    """Read prices from a file of YAML or JSON.

    Raises:
        UsageError: It cannot be read, or holds something else.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return _PRICES.validate_python(YAML(typ="safe", pure=True).load(read_given(path, "--prices:")))
    except (YAMLError, RecursionError) as error:
        raise UsageError(f"--prices: {path} is no YAML: {error}.", hint=_HINT) from error
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc'])) or path.name}: {one['msg']}" for one in error.errors())
        raise UsageError(f"--prices: {path}: {wrong}.", hint=_HINT) from error


def priced(record: Record, path: Path | None) -> Record:
    """Return a run with what its tries cost, by the prices of a file, where one is given.

    Raises:
        UsageError: The file cannot be read, or holds something else.
    """
    if path is None:
        return record
    prices = read_prices(path)
    tries = tuple(replace(found, cost=prices.of(found)) for found in record.tries)
    return replace(record, tries=tries, currency=prices.currency)


def money(cost: float | None, currency: str | None) -> str:
    """Return a cost as people read it; nothing where it is not known."""
    return "" if cost is None or currency is None else f"{cost:,.4f} {currency}"
