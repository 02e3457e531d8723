"""The command line of a call, in the specification's order (CWL CommandLineTool, §Input binding).

Every argument has a sorting key: positions, indices of array items and names, from the outermost binding inwards.
Numbers sort before names, and a shorter key before those that begin with it.
"""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeAlias

from cwl_prefect.cwl.javascript.expressions import Scope
from cwl_prefect.cwl.values.errors import part_errors
from cwl_prefect.cwl.values.type_errors import shown
from cwl_prefect.cwl.values.types import ANY, Array, CwlType, Parameter, Plain, Record, Union, branch
from cwl_prefect.errors import ExpressionError, StepError

Key: TypeAlias = tuple[tuple[int, int, str], ...]
Binding: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """A binding with the value that it binds, and where it goes."""

    key: Key
    value: Any
    binding: Binding
    part: str  # as errors name it


def command_line(
    document: Mapping[str, Any], ports: Sequence[Parameter], scope: Scope, *, shell: bool
) -> tuple[str, ...]:
    """Return the command of a call.

    Args:
        document: The tool.
        ports: Its inputs.
        scope: Values of the inputs, with the paths at which the tool finds files, and what expressions see.
        shell: Whether ShellCommandRequirement applies.

    Raises:
        ExpressionError: An expression failed.
        StepError: A file has no path.
    """
    arguments = [*_given(document, scope), *_bound_inputs(ports, scope)]
    words = [
        word
        for argument in sorted(arguments, key=lambda each: each.key)
        for word in _words(argument, scope, shell=shell)
    ]
    commands = document.get("baseCommand") or ()
    base = [commands] if isinstance(commands, str) else list(map(str, commands))
    if not shell:
        return (*base, *words)
    return ("/bin/sh", "-c", " ".join([*map(shlex.quote, base), *words]))


def argument_text(value: Any) -> str:
    """Return a value as an argument: a number never in scientific notation, true and false as CWL writes them.

    Raises:
        StepError: A file has no path.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        text = repr(value)
        return format(Decimal(text), "f") if "e" in text else text
    if isinstance(value, Mapping) and value.get("class") in ("File", "Directory"):
        if "path" not in value:
            raise StepError(
                f"{value['class']} {value.get('basename') or value.get('location')} is none that the tool can find.",
                hint="Only files of the tool's inputs have a path; declare an input for it.",
            )
        return str(value["path"])
    return str(value)


def _given(document: Mapping[str, Any], scope: Scope) -> Iterator[Argument]:
    """Yield the entries of ``arguments``."""
    for number, entry in enumerate(document.get("arguments") or ()):
        binding = entry if isinstance(entry, Mapping) else {"valueFrom": entry}
        part = f"arguments[{number}]"
        with part_errors(part):
            position = _position(binding, None, scope)
        yield Argument(key=((0, position, ""), (0, number, "")), value=None, binding=binding, part=part)


def _bound_inputs(ports: Sequence[Parameter], scope: Scope) -> Iterator[Argument]:
    for port in ports:
        value = scope.inputs.get(port.name)
        if value is not None:
            bindings = _Bindings(scope=scope, part=f"input {port.name}")
            with part_errors(bindings.part):
                yield from bindings.of(port.type, value, port.binding, tail=_name(port.name))


def _name(name: str) -> Key:
    return ((1, 0, name),)


def _position(binding: Binding, value: Any, scope: Scope) -> int:
    declared = binding.get("position") or 0
    found = scope.evaluate(declared, value)
    if found is None:
        return 0
    if not isinstance(found, int) or isinstance(found, bool):
        raise ExpressionError(f"position must be a whole number, {declared} gave {shown(found)}.")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bindings:
    """Finds every binding within one input."""

    scope: Scope
    part: str

    def of(
        self,
        declared: CwlType,
        value: Any,
        binding: Binding | None,
        *,
        tail: Key,
        lead: Key = (),
        around: Key | None = None,
    ) -> Iterator[Argument]:
        """Yield the arguments of a value.

        Args:
            declared: Its type.
            value: The value.
            binding: The binding of the input, field or array around it, if any.
            tail: The name of the input or field.
            lead: The index of an item.
            around: The key of the array that an item is in, which stands for its position.
        """
        if value is None:
            return
        if isinstance(declared, Union):
            declared = branch(declared, value) or ANY
        if isinstance(declared, Plain) and declared.name == "Any":
            declared = _type_of(value)
        key: Key = ()
        if binding is not None:
            place = ((0, _position(binding, value, self.scope), ""),) if around is None else around
            key = (*lead, *place, *tail)
            yield Argument(key=key, value=value, binding=binding, part=self.part)
            if "valueFrom" in binding:
                return  # it stands for all within
        yield from self._inner(declared, value, binding, key=key, tail=tail, lead=lead)

    def _inner(
        self, declared: CwlType, value: Any, binding: Binding | None, *, key: Key, tail: Key, lead: Key
    ) -> Iterator[Argument]:
        own = declared.binding if isinstance(declared, Array | Record) else None
        if isinstance(declared, Array):
            if own is None and binding is not None and "itemSeparator" not in binding:
                own = {}
            yield from self._items(declared, value, own, key=key, tail=tail, lead=lead)
        elif isinstance(declared, Record):
            if own is not None:
                place = ((0, _position(own, value, self.scope), ""),)
                key = (*key, *lead, *place, *tail)
                yield Argument(key=key, value=value, binding=own, part=self.part)
            for field in declared.fields:
                if (given := value.get(field.name)) is not None:
                    for found in self.of(field.type, given, field.binding, tail=_name(field.name), lead=lead):
                        yield _below(key, found)
        elif (own := getattr(declared, "binding", None)) is not None:
            for found in self.of(Plain("string"), value, own, tail=tail, lead=lead):
                yield _below(key, found)

    def _items(
        self, declared: Array, value: list[Any], own: Binding | None, *, key: Key, tail: Key, lead: Key
    ) -> Iterator[Argument]:
        """Yield the arguments of an array's items, each bound by the binding of the array's type."""
        around = None
        if own is not None:
            around = (*lead, (0, _position(own, value, self.scope), ""), *tail)
        for index, item in enumerate(value):
            for found in self.of(declared.items, item, own, tail=tail, lead=((0, index, ""),), around=around):
                yield _below(key, found)


def _below(key: Key, found: Argument) -> Argument:
    if not key:
        return found
    return Argument(key=(*key, *found.key), value=found.value, binding=found.binding, part=found.part)


def _type_of(value: Any) -> CwlType:
    """Return the type that a value of any type has for binding."""
    if isinstance(value, list):
        return Array(items=ANY)
    return Plain("string")


def _words(argument: Argument, scope: Scope, *, shell: bool) -> list[str]:
    with part_errors(argument.part):
        words = _written(argument, scope)
    return list(map(shlex.quote, words)) if shell and argument.binding.get("shellQuote", True) else words


def _written(argument: Argument, scope: Scope) -> list[str]:
    binding, value = argument.binding, argument.value
    if "valueFrom" in binding:
        value = scope.evaluate(binding["valueFrom"], value)
    prefix = binding.get("prefix")
    before = [str(prefix)] if prefix else []
    if value is None or value is False or value == []:
        return []
    if value is True:
        return before
    if isinstance(value, list):
        if "itemSeparator" in binding:
            items = [_item_text(item) for item in value if item is not None]
            return _prefixed(before, str(binding["itemSeparator"]).join(items), binding) if items else []
        return [*before, *_texts(value)] if "valueFrom" in binding else before
    if isinstance(value, dict) and value.get("class") not in ("File", "Directory"):
        return before
    return _prefixed(before, argument_text(value), binding)


def _prefixed(before: list[str], text: str, binding: Binding) -> list[str]:
    return [*before, text] if binding.get("separate", True) else ["".join((*before, text))]


def _texts(value: list[Any]) -> list[str]:
    """Return the items of an array that an expression gave, those of arrays within it too, null left out."""
    found: list[str] = []
    for item in value:
        if isinstance(item, list):
            found.extend(_texts(item))
        elif item is not None:
            found.append(_item_text(item))
    return found


def _item_text(value: Any) -> str:
    if isinstance(value, list) or (isinstance(value, dict) and value.get("class") not in ("File", "Directory")):
        return json.dumps(value, sort_keys=True)
    return argument_text(value)
