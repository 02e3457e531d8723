"""Where expressions begin and end inside a text (CWL CommandLineTool, §Expressions).

An expression is JavaScript, so that a bracket counts only outside of JavaScript's strings, templates, comments and
regular expressions.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cwl_prefect.cwl.javascript.engine import JavascriptError

_CLOSERS = {"(": ")", "[": "]", "{": "}"}
_START = re.compile(r"\\|\$[({]")
_COMMENT = re.compile(r"//[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_STRING = re.compile(r"""'(?:[^'\\]|\\.)*(?:'|\Z)|"(?:[^"\\]|\\.)*(?:"|\Z)""", re.DOTALL)
_REGULAR_EXPRESSION = re.compile(r"/(?![*/])(?:[^\\/\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/\w*")
_TEMPLATE_TEXT = re.compile(r"(?:[^`\\$]|\\.|\$(?!\{))*", re.DOTALL)
_WORD = re.compile(r"[\w$]+")
_BEFORE_OPERAND = frozenset(
    ("await", "case", "delete", "do", "else", "in", "instanceof", "new", "of", "return", "throw", "typeof", "void"),
)
_LONGEST = 60  # characters of an expression that is told in one line
_SHOWN = 40  # characters of an expression without an end
_REFERENCE = re.compile(r"""\$\([A-Za-z_]\w*(?:\.\w+|\[\d+\]|\['(?:[^'\\]|\\.)+'\]|\["(?:[^"\\]|\\.)+"\])*\)""")


@dataclass(frozen=True, slots=True)
class Expression:
    """The text of an expression with its parentheses or braces, without the dollar sign."""

    source: str


def short_source(source: str) -> str:
    """Return the text of an expression as one line, cut off where it is long."""
    line = " ".join(source.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


def may_hold_expression(text: Any) -> bool:
    """Check whether a value is a text that is to be scanned at all."""
    return isinstance(text, str) and ("$(" in text or "${" in text)


def has_expression(value: Any) -> bool:
    """Check whether a part of a document holds an expression."""
    if isinstance(value, str):
        return may_hold_expression(value)
    if isinstance(value, Mapping):
        return any(map(has_expression, value.values()))
    return isinstance(value, Sequence) and any(map(has_expression, value))


def has_javascript(value: Any) -> bool:
    """Check whether a part of a document holds an expression that is more than a parameter reference.

    (CWL CommandLineTool, §Parameter references.) A reference to what does not exist may still start the engine.
    """
    if isinstance(value, str):
        return may_hold_expression(value) and may_hold_expression(_REFERENCE.sub("", value))
    if isinstance(value, Mapping):
        return any(has_javascript(item) for item in value.values())
    return isinstance(value, Sequence) and any(has_javascript(item) for item in value)


@lru_cache(maxsize=1024)
def scan(text: str, *, old_escapes: bool = False) -> tuple[str | Expression, ...]:
    r"""Return the parts of a text: what stands there as it is, and expressions.

    Args:
        text: The text.
        old_escapes: Whether a backslash stands for the character after it, as up to CWL v1.1; since then it only keeps
            ``\$(`` and ``\${`` from being expressions, and itself.

    Raises:
        JavascriptError: An expression has no end.
    """
    parts: list[str | Expression] = []
    plain = ""
    position = 0
    while (found := _START.search(text, position)) is not None:
        plain += text[position : found.start()]
        if found[0] == "\\":
            kept, position = _unescaped(text, found.start(), old_escapes=old_escapes)
            plain += kept
            continue
        if plain:
            parts.append(plain)
            plain = ""
        position = _end(text, found.start() + 1)
        parts.append(Expression(text[found.start() + 1 : position]))
    plain += text[position:]
    return (*parts, plain) if plain or not parts else tuple(parts)


def _unescaped(text: str, start: int, *, old_escapes: bool) -> tuple[str, int]:
    """Return what an escape stands for, and where it ends."""
    following = text[start + 1 : start + 3]
    if not following:
        return "\\", start + 1
    if old_escapes:
        return following[0], start + 2
    if following in ("$(", "${"):
        return following, start + 3
    return ("\\", start + 2) if following[0] == "\\" else (text[start : start + 2], start + 2)


def _end(text: str, start: int) -> int:
    """Return the index after the bracket that closes the one at ``start``."""
    open_ones: list[str] = []
    position, operand_follows = start, True
    while position < len(text):
        character = text[position]
        if (skipped := _skipped(text, position, operand_follows=operand_follows)) is not None:
            position, operand_follows = skipped
        elif character in _CLOSERS:
            open_ones.append(_CLOSERS[character])
            position, operand_follows = position + 1, True
        elif character == "`":
            position, operand_follows = _in_template(text, position + 1, open_ones)
        elif character in ")]}":
            if character != open_ones.pop():
                break
            position, operand_follows = position + 1, character == "}"
            if not open_ones:
                return position
            if open_ones[-1] == "`":
                open_ones.pop()
                position, operand_follows = _in_template(text, position, open_ones)
        else:
            position, operand_follows = position + 1, operand_follows if character.isspace() else True
    raise JavascriptError(
        f"the expression that begins with {text[start - 1 : start + _SHOWN]!r} has no end",
        hint="Close its bracket; write \\$( for a dollar sign with a bracket that begins no expression.",
    )


def _skipped(text: str, position: int, *, operand_follows: bool) -> tuple[int, bool] | None:
    """Return where a comment, string, regular expression or word ends, and whether an operand may follow it."""
    character = text[position]
    if character == "/":
        if (comment := _COMMENT.match(text, position)) is not None:
            return comment.end(), operand_follows
        # A slash after an operand divides; a regular expression ends on its line.
        pattern = _REGULAR_EXPRESSION.match(text, position) if operand_follows else None
        return None if pattern is None else (pattern.end(), False)
    if character in "'\"":
        string = _STRING.match(text, position)
        return None if string is None else (string.end(), False)
    word = _WORD.match(text, position)
    return None if word is None else (word.end(), word[0] in _BEFORE_OPERAND)


def _in_template(text: str, position: int, open_ones: list[str]) -> tuple[int, bool]:
    """Go on inside a template: to its end, or into a substitution, which is then open."""
    found = _TEMPLATE_TEXT.match(text, position)
    end = position if found is None else found.end()
    if text.startswith("${", end):
        open_ones.extend(("`", "}"))
        return end + 2, True
    return end + 1, False
