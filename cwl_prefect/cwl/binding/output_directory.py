"""An output directory, closed to links and locations that lead out of it, and to pipes and devices.

A tool in a container could otherwise read this machine's files, or keep this process waiting for a pipe.
"""

import glob
import os
import stat
from dataclasses import dataclass

from cwl_prefect._lib.hashing import checksum_of
from cwl_prefect.cwl.values import files
from cwl_prefect.errors import OutputError

_ONLY_OWN = "A tool may only give files of its own output directory or its inputs; let it copy the file."


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputDirectory:
    """Access to one output directory.

    Attributes:
        root: Its path on this machine.
        inputs: Real paths of files and directories that links in it may lead to.
    """

    root: str
    inputs: tuple[str, ...]

    def matches(self, pattern: str) -> list[str]:
        """Return the paths of what matches a pattern, or else has just that name, sorted.

        Raises:
            OutputError: One leads out of the directory.
        """
        if os.path.normpath(pattern) in (".", self.root):
            return [self.root]
        below = pattern.removeprefix(f"{self.root}/")
        found = sorted(glob.glob(f"{glob.escape(self.root)}/{below}"))  # noqa: PTH207 - Path.glob keeps no "."
        if not found and os.path.lexists(f"{self.root}/{below}"):
            found = [f"{self.root}/{below}"]
        for path in found:
            self.demand(path)
        return [path.rstrip("/") for path in found]

    def demand(self, path: str) -> None:
        """Check that a path leads to a file or directory of the output directory or of the inputs, if to anything.

        Raises:
            OutputError: It does not.
        """
        directory, _, name = path.rpartition("/")
        if directory == self.root and name != ".." and _is_plain(path):
            return  # the usual case, told by one look
        real = os.path.realpath(path)
        roots = (os.path.realpath(self.root), *self.inputs)
        shown = os.path.relpath(path, self.root) if path.startswith(f"{self.root}/") else path
        if not any(real == root or real.startswith(f"{root}/") for root in roots):
            leads = "is" if real == shown else f"leads to {real},"
            raise OutputError(f"{shown} {leads} outside the output directory.", hint=_ONLY_OWN)
        if os.path.lexists(real) and not _is_plain(real):
            raise OutputError(
                f"{shown} is neither a file nor a directory but a pipe, socket or device.",
                hint="Let the tool write a regular file.",
            )

    def contents(self, path: str) -> str:
        """Return the text of a file in it.

        Raises:
            OutputError: It leads out of the directory.
            StepError: It is larger than CWL allows, or no text.
        """
        self.demand(path)
        return files.contents_of(path, os.path.basename(path))  # noqa: PTH119 - a text


def literal_about(contents: str, *, checksum: bool) -> dict[str, str | int]:
    """Return size and checksum of a literal's text."""
    content = contents.encode("utf-8", "surrogateescape")
    return {"size": len(content), **({"checksum": checksum_of(content)} if checksum else {})}


def _is_plain(path: str) -> bool:
    """Check whether a path is that of a regular file or a directory, and no link."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)
