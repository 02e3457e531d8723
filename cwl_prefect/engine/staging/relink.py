"""What an output directory holds once its tool has ended: links lead there where they led for the tool.

A tool names files by the paths at which it saw them. Those of a container mean nothing on this machine, those of inputs
are removed with the call. CWL lets links lead to what lies in the output directory or below an input (CommandLineTool,
§CommandOutputBinding, glob).
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cwl_prefect.engine.staging.copying import copy
from cwl_prefect.engine.staging.layout import Layout, Node
from cwl_prefect.engine.staging.stage import HINTS, is_original, layout_of, realise
from cwl_prefect.engine.staging.workspace import Workspace
from cwl_prefect.errors import OutputError, StepError
from cwl_prefect.model.job import BoundCall, EntryKind

_REMOVE = "let the tool remove the link, or copy what its output needs"


def relink(call: BoundCall, workspace: Workspace) -> None:
    """Let links of the output directory lead on this machine where they led for the tool.

    What was mounted there appears as links to the originals, so that globs find it; a directory that the tool replaced
    by a link is not entered. Links of the tool to inputs become links to the originals, or the literals themselves.

    Call it after a run and before outputs are collected.

    Raises:
        StepError: A mount point or a link cannot be replaced.
    """
    relinking = _Relinking(call=call, out=str(workspace.out))
    try:
        if call.outdir != relinking.out:
            relinking.show_originals()
        for link in list(_links(relinking.out)):
            relinking.settle(link)
    except OSError as error:
        msg = f"the inputs in {workspace.out} cannot be linked: {error}"
        raise StepError(msg, hint=HINTS.get(error.errno or 0)) from error


def hold(links: Iterable[str], *, name: str) -> None:
    """Put copies of what they lead to in the place of links, so that a directory can be mounted without anything else.

    Raises:
        OutputError: One cannot be copied, for instance because it leads to a directory around it.
    """
    for link in links:
        if not os.path.islink(link):  # noqa: PTH114 - a text
            continue  # outputs may hold each other
        try:
            origin = Path(link).resolve(strict=True)
            Path(link).unlink()
            copy(origin, Path(link))
        except OSError as error:
            msg = f"{name}: what {link} leads to cannot be copied into its directory: {error.strerror}"
            raise OutputError(f"{msg}.", step=name, hint=HINTS.get(error.errno or 0, _REMOVE)) from error


@dataclass(frozen=True)
class _Relinking:
    call: BoundCall
    out: str

    @cached_property
    def _layout(self) -> Layout:
        return layout_of(self.call)

    def show_originals(self) -> None:
        """Put links in the place of mount points."""
        node = self._layout.find(self.call.outdir)
        if node is not None:
            self._show(node, Path(self.out))

    def settle(self, link: str) -> None:
        """Let a link lead where it led for the tool, unless it led nowhere that it may."""
        seen = self.call.outdir + link.removeprefix(self.out)
        written = os.readlink(link)  # noqa: PTH115 - Path would write it anew
        place = _joined(seen, written)
        if place == self.call.outdir or place.startswith(f"{self.call.outdir}/"):
            here = self.out + place.removeprefix(self.call.outdir)
            if _joined(link, written) != here:
                _replace(link, os.path.relpath(here, os.path.dirname(link)))  # noqa: PTH120 - a text
        elif not place.startswith(f"{self.call.tmpdir}/") and (found := self._layout.reach(place)) is not None:
            self._lead(link, *found)

    def _show(self, node: Node, path: Path) -> None:
        if node.children is not None:
            if path.is_dir() and not path.is_symlink():
                for name, inner in node.children.items():
                    self._show(inner, path / name)
            return
        if node.entry is None or not is_original(node.entry, in_place=self.call.inplace_update):
            return
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)
        path.symlink_to(node.entry.source)

    def _lead(self, link: str, node: Node, below: list[str]) -> None:
        """Let a link lead to a staged file or directory, or to what is below it."""
        entry = node.entry
        if entry is None:
            return
        if node.children is None and is_original(entry, in_place=self.call.inplace_update):
            _replace(link, "/".join((entry.source, *below)))
        elif not below and (node.children is not None or entry.kind is EntryKind.LITERAL):
            Path(link).unlink()
            realise(node, Path(link), in_place=self.call.inplace_update)


def _links(directory: str) -> Iterator[str]:
    """Yield the links in a directory, at any depth, without following any."""
    waiting = [directory]
    while waiting:
        with suppress(PermissionError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_symlink():
                    yield entry.path
                elif entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)


def _joined(link: str, written: str) -> str:
    return os.path.normpath(os.path.join(os.path.dirname(link), written))  # noqa: PTH118, PTH120 - texts


def _replace(link: str, target: str) -> None:
    os.unlink(link)  # noqa: PTH108 - a text
    os.symlink(target, link)  # noqa: PTH211 - a text
