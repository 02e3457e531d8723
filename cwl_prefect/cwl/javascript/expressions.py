"""Evaluate expressions and parameter references; what JavaScript needs is only made when JavaScript runs."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cwl_prefect.cwl.javascript import engine, references
from cwl_prefect.cwl.javascript.engine import JavascriptError, JavascriptRead
from cwl_prefect.cwl.javascript.reads import Evaluation, Owners, Recorder, followed
from cwl_prefect.cwl.javascript.references import BrokenReferenceError
from cwl_prefect.cwl.javascript.scanner import Expression, may_hold_expression, scan, short_source
from cwl_prefect.cwl.javascript.unknown import check_known, declaration, unknown_read
from cwl_prefect.model.values import unusable

_JAVASCRIPT = "InlineJavascriptRequirement"
_OLD_ESCAPES = ("v1.0", "v1.1", "v1.1.0-dev1", "v1.2.0-dev1", "v1.2.0-dev2", "v1.2.0-dev3")


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What expressions of a process may be made of."""

    library: tuple[str, ...] | None  # texts of expressionLib; None: there are only parameter references
    old_escapes: bool = False


def script_of(requirements: Iterable[Mapping[str, Any]], *, cwl_version: str = "") -> Script:
    """Return what expressions may be made of where these requirements apply."""
    found = next((entry for entry in reversed(list(requirements)) if entry["class"] == _JAVASCRIPT), None)
    library = None if found is None else tuple(map(str, found.get("expressionLib") or ()))
    return Script(library=library, old_escapes=cwl_version in _OLD_ESCAPES)


class Scope:
    """What the expressions of one call see, written down as JavaScript once for all of them.

    Args:
        inputs: Values of the inputs.
        runtime: Values of ``runtime``.
        script: What they may be made of.
        recorder: Is told what they read; None where nobody asks.
    """

    __slots__ = ("_library", "_owners", "inputs", "recorder", "runtime", "script")

    def __init__(
        self, *, inputs: Mapping[str, Any], runtime: Mapping[str, Any], script: Script, recorder: Recorder | None = None
    ) -> None:
        self.inputs = inputs
        self.runtime = runtime
        self.script = script
        self.recorder = recorder
        self._owners = Owners(inputs)
        self._library: str | None = None

    def evaluate(self, text: Any, own: Any = None, *, strip: bool = True) -> Any:
        """Return the value of what may be an expression; anything else as it is (CWL Workflow, §Expressions).

        Args:
            text: A field of a document.
            own: What the expression sees as ``self``.
            strip: Whether space around the text is left out.

        Raises:
            JavascriptError: It cannot be evaluated.
            UnknownValueError: It read an ``Unknown`` among the inputs, or ``self``.
        """
        if not may_hold_expression(text):
            return text
        try:
            return self._evaluated(text.strip() if strip else text, own)
        except JavascriptError as error:
            error.text = text
            raise

    def _evaluated(self, text: str, own: Any) -> Any:
        parts = scan(text, old_escapes=self.script.old_escapes)
        if len(parts) == 1 and isinstance(parts[0], Expression):
            return self._value(parts[0].source, own, alone=True)
        values = (
            self._value(part.source, own, alone=False) if isinstance(part, Expression) else part for part in parts
        )
        return "".join(value if isinstance(value, str) else json.dumps(value, sort_keys=True) for value in values)

    def _value(self, source: str, own: Any, *, alone: bool) -> Any:
        path = references.parse(source)
        if path is not None:
            variables = {"inputs": self.inputs, "self": own, "runtime": self.runtime}
            check_known(path, variables)
            try:
                value = references.follow(path, variables)
            except BrokenReferenceError as error:
                if self.script.library is None:
                    raise JavascriptError(f"${source}: {error.message}", hint=error.hint) from error
            else:
                self._note(Evaluation(source=source, own=own, value=value, alone=alone), followed(path, variables))
                return value
        if self.script.library is None:
            raise JavascriptError(
                f"${short_source(source)} is JavaScript, which InlineJavascriptRequirement does not allow here",
                hint=f"Add {_JAVASCRIPT} to the requirements, or use a parameter reference such as $(inputs.name).",
            )
        try:
            return self._computed(source, own, alone=alone)
        except JavascriptError as error:
            unknown = unknown_read(error.message)
            if unknown is None:
                raise
            raise unknown from error

    def _computed(self, source: str, own: Any, *, alone: bool) -> Any:
        """Return what JavaScript gives, and note what it read where somebody asks."""
        library = f"{self._variables()}\n{declaration('self', own)}"
        if self.recorder is None:
            return _usable(engine.installed().eval(source, library))
        found = engine.installed().recorded(source, library)
        evaluation = Evaluation(source=source, own=own, value=_usable(found.value), alone=alone)
        if self._note(evaluation, found.reads):
            self.recorder.check_moved(source, library, found.value)
        return found.value

    def _note(self, evaluation: Evaluation, reads: Iterable[JavascriptRead]) -> bool:
        return self.recorder is not None and self.recorder.note(evaluation, reads, self._owners)

    def _variables(self) -> str:
        if self._library is None:
            variables = {"inputs": self.inputs, "runtime": self.runtime}
            given = (declaration(name, value) for name, value in variables.items())
            self._library = "\n".join([*(self.script.library or ()), *given])
        return self._library


def _usable(value: Any) -> Any:
    reason = unusable(value)
    if reason is not None:
        raise JavascriptError(f"the expression's value cannot be used: {reason}")
    return value
