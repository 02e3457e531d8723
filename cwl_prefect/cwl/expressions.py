"""Evaluate expressions and parameter references; what JavaScript needs is only made when JavaScript runs."""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from cwl_utils.expression import OLD_ESCAPE_CWL_VERSIONS, interpolate, needs_parsing
from cwl_utils.sandboxjs import JSEngine, get_js_engine
from cwltool.builder import Builder
from cwltool.errors import WorkflowException


class LazyEngine(JSEngine):
    """Hands expressions to the engine with their variables, which are written down only then.

    Args:
        variables: What an expression sees: ``inputs``, ``self`` and ``runtime``.
        library: Texts of ``expressionLib``.
    """

    def __init__(self, variables: Mapping[str, Any], library: Iterable[str]) -> None:
        self._variables = variables
        self._library = library
        self._engine = get_js_engine()

    def eval(self, scan: str, jslib: str = "", *_options: Any, **_named_options: Any) -> Any:  # noqa: ARG002 - made here instead
        """Evaluate JavaScript."""
        given = (f"var {name} = {json.dumps(value)};" for name, value in self._variables.items())
        return self._engine.eval(scan, "\n".join([*self._library, *given]))

    def regex_eval(self, parsed_string: str, remaining_string: str, current_value: Any, **options: Any) -> Any:
        """Follow a parameter reference."""
        return self._engine.regex_eval(parsed_string, remaining_string, current_value, **options)


def evaluate(
    text: Any,
    variables: Mapping[str, Any],
    requirements: Iterable[Mapping[str, Any]],
    *,
    strip_whitespace: bool = True,
    cwl_version: str = "",
) -> Any:
    """Evaluate what may be an expression; anything else is given back as it is (CWL Workflow, §Expressions).

    Raises:
        WorkflowException: It cannot be evaluated.
    """
    if not needs_parsing(text):
        return text
    script = next((entry for entry in reversed(list(requirements)) if entry["class"] == _JAVASCRIPT), None)
    engine = LazyEngine(variables, [] if script is None else script.get("expressionLib") or [])
    try:
        return interpolate(
            text,
            variables,  # type: ignore[arg-type]  # it is only read
            fullJS=script is not None,
            strip_whitespace=strip_whitespace,
            escaping_behavior=1 if cwl_version in OLD_ESCAPE_CWL_VERSIONS else 2,
            js_engine=engine,
        )
    except Exception as error:
        raise WorkflowException(f"Expression evaluation error:\n{error}") from error


def evaluate_in(
    builder: Builder,
    text: Any,
    context: Any = None,
    recursive: bool = False,  # noqa: FBT001, FBT002 - as cwltool calls it
    strip_whitespace: bool = True,  # noqa: FBT001, FBT002
) -> Any:
    """Evaluate an expression of a tool, as its builder would."""
    if recursive and isinstance(text, Mapping):
        return {key: evaluate_in(builder, item, context, recursive=True) for key, item in text.items()}
    if recursive and isinstance(text, list):
        return [evaluate_in(builder, item, context, recursive=True) for item in text]
    if not needs_parsing(text):
        return text
    resources = dict(builder.resources)
    if "cores" in resources:
        resources["cores"] = math.ceil(resources["cores"])
    runtime = {**resources, "tmpdir": builder.tmpdir or None, "outdir": builder.outdir or None}
    return evaluate(
        text,
        {"inputs": builder.job, "self": context, "runtime": runtime},
        builder.requirements,
        strip_whitespace=strip_whitespace,
        cwl_version=builder.cwlVersion,
    )


_JAVASCRIPT = "InlineJavascriptRequirement"
