"""From arrays to the calls of a scattered step, and from the calls' outputs back to arrays."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import overload

from pydantic import JsonValue

from cwl_prefect.errors import InputError
from cwl_prefect.model.plan import Scatter, ScatterMethod
from cwl_prefect.model.values import CwlObject, kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """One call of a scattered step: where it stands in the output arrays and what its ports receive."""

    index: tuple[int, ...]
    values: Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expansion:
    """All calls of a scattered step, made one by one as they are asked for.

    ``shape`` holds the lengths of the output arrays, outermost first; it has one entry but for a nested crossproduct.
    """

    shape: tuple[int, ...]
    elements: Sequence[Element]


def expand(scatter: Scatter, values: Mapping[str, JsonValue]) -> Expansion:
    """Scatter a step over some of its ports (CWL Workflow, §ScatterMethod).

    Elements share every value with ``values``, so that a wide scatter costs no copies.

    Raises:
        InputError: A scattered port has no array, or the arrays of a dotproduct have unequal lengths.
    """
    arrays = {port: _array(port, values.get(port)) for port in scatter.ports}
    lengths = tuple(len(array) for array in arrays.values())
    shape: tuple[int, ...]
    match scatter.method:
        case ScatterMethod.DOTPRODUCT:
            shape = (_common_length(arrays),)
        case ScatterMethod.NESTED_CROSSPRODUCT:
            shape = lengths
        case ScatterMethod.FLAT_CROSSPRODUCT:
            shape = (prod(lengths),)
    paired = scatter.method is ScatterMethod.DOTPRODUCT
    return Expansion(
        shape=shape,
        elements=_Elements(
            shape=shape, lengths=shape * len(arrays) if paired else lengths, paired=paired, arrays=arrays, values=values
        ),
    )


def gather(
    expansion: Expansion,
    outputs: Sequence[Mapping[str, JsonValue] | None],
    ports: Sequence[str],
) -> CwlObject:
    """Return the step's outputs: for each port an array as deep as the expansion's shape.

    Args:
        expansion: What the outputs come from.
        outputs: What each element gave, in the order of the elements; None for one that was skipped or failed, whose
            outputs are null.
        ports: Output ports of the step.

    Raises:
        ValueError: There is not one output for each element.
    """
    if len(outputs) != len(expansion.elements):
        msg = f"{len(expansion.elements)} calls, but {len(outputs)} outputs"
        raise ValueError(msg)
    return {
        port: _nest([None if output is None else output.get(port) for output in outputs], expansion.shape)
        for port in ports
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Elements(Sequence[Element]):
    shape: tuple[int, ...]
    lengths: tuple[int, ...]  # of each array
    paired: bool  # dotproduct: the same position in every array
    arrays: Mapping[str, Sequence[JsonValue]]
    values: Mapping[str, JsonValue]

    def __len__(self) -> int:
        return prod(self.shape)

    @overload
    def __getitem__(self, position: int) -> Element: ...

    @overload
    def __getitem__(self, position: slice) -> list[Element]: ...

    def __getitem__(self, position: int | slice) -> Element | list[Element]:
        if isinstance(position, slice):
            return [self._element(each) for each in range(*position.indices(len(self)))]
        if not -len(self) <= position < len(self):
            msg = f"call {position} of {len(self)}"
            raise IndexError(msg)
        return self._element(position % len(self))

    def __iter__(self) -> Iterator[Element]:
        return map(self._element, range(len(self)))

    def _element(self, position: int) -> Element:
        taken = (position,) * len(self.lengths) if self.paired else _unravel(position, self.lengths)
        chosen = {port: array[at] for (port, array), at in zip(self.arrays.items(), taken, strict=True)}
        return Element(index=taken if len(self.shape) > 1 else (position,), values={**self.values, **chosen})


def _unravel(position: int, lengths: tuple[int, ...]) -> tuple[int, ...]:
    taken: list[int] = []
    for length in reversed(lengths):
        position, at = divmod(position, length)
        taken.append(at)
    return tuple(reversed(taken))


def _array(port: str, value: JsonValue) -> list[JsonValue]:
    if isinstance(value, list):
        return value
    hint = f"give '{port}' an array, or take it out of the step's scatter"
    raise InputError(f"'{port}' is scattered, so it needs an array, but it is {kind(value)}", hint=hint)


def _common_length(arrays: Mapping[str, Sequence[JsonValue]]) -> int:
    lengths = {port: len(array) for port, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{port}: {length}" for port, length in lengths.items())
        msg = f"a dotproduct scatter needs arrays of equal length, found {told}"
        raise InputError(msg, hint="make the arrays equally long, or use flat_crossproduct or nested_crossproduct")
    return next(iter(lengths.values()), 0)


def _nest(values: list[JsonValue], shape: tuple[int, ...]) -> JsonValue:
    if len(shape) == 1:
        return values
    inner = prod(shape[1:])
    return [_nest(values[at * inner : (at + 1) * inner], shape[1:]) for at in range(shape[0])]
