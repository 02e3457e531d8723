"""Make the messages of cwltool and schema-salad readable: short paths, no ornaments, places kept."""

import re
import urllib.parse
from pathlib import Path

_FILE_URL = re.compile(r"file://(/[^\s'\"#]*)")
_QUOTED_PLACE = re.compile(r"^(?P<path>\S*%[0-9A-Fa-f]{2}\S*?)(?=:\d+:\d+:)", re.MULTILINE)
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
A_TABULATOR, INDENT = "a tabulator where there should be spaces", "Indent by spaces."  # of YAML
LONGEST_MESSAGE = 4000  # characters; a validation error can quote a whole document


def document_message(text: str) -> str:
    """Shorten a message about a document; places such as ``workflow.cwl:3:5`` stay."""
    plain = _ANSI.sub("", text).strip()
    plain = _FILE_URL.sub(lambda match: short_path(urllib.parse.unquote(match.group(1))), plain)
    return _bounded(_QUOTED_PLACE.sub(lambda match: readable_path(match["path"]), plain))


def readable_path(path: str) -> str:
    """Write a local path as the file system has it, where a parser wrote it as in a URL."""
    unquoted = urllib.parse.unquote(path)
    return unquoted if unquoted != path and Path(unquoted).exists() and not Path(path).exists() else path


def short_path(path: str) -> str:
    """Write a path from the current directory on, where it lies below it."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path


def _bounded(text: str) -> str:
    if len(text) <= LONGEST_MESSAGE:
        return text
    half = LONGEST_MESSAGE // 2
    return f"{text[:half]}\n… ({len(text) - LONGEST_MESSAGE} characters left out) …\n{text[-half:]}"
