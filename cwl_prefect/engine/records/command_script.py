"""The command of a call as a script that a person can run, and read."""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cwl_prefect._lib.atomic_write import write_whole
from cwl_prefect.engine.outputs.tail import one_line, shortened
from cwl_prefect.engine.records.secrets import HIDDEN, text_without
from cwl_prefect.engine.staging.layout import LITERAL_KINDS
from cwl_prefect.engine.staging.workspace import Workspace
from cwl_prefect.model.job import BoundCall, ContainerJob, EntryKind, StagedEntry

SCRIPT = "command.sh"
"""Name of the script in the workspace of a call."""

_LONGEST_SOURCE = 300
_LONGEST_COMMAND = 1_000
_SHOWN_ENTRIES = 10
_UNPREFIXED = re.compile(r"[^=\s-][^=]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptOfCall:
    """A call to be written as a script.

    Attributes:
        name: Its name, as ``align[3]``.
        call: What is run.
        secret: Texts that are left out.
        before: Its workspace as it was when the call was bound.
        after: The same workspace as it lies now.
    """

    name: str
    call: BoundCall
    secret: Sequence[str]
    before: Workspace
    after: Workspace

    def text(self) -> str:
        """Return the script; run in the directory of a call that was kept, it runs the command again."""
        call = self.call
        lines = ["#!/bin/sh", *(f"# {one_line(self._shown(line))}" for line in self._remarks())]
        lines.append(f"cd {self._word(call.outdir)} || exit")
        words = [f"{name}={value}" for name, value in sorted(call.env.items())]
        command = [self._word(word) for word in call.command]
        if call.command and not _UNPREFIXED.fullmatch(call.command[0]):  # env would take it for a variable or option
            command = ["sh", "-c", shlex.quote('exec "$0" "$@"'), *command]
        lines.append(" \\\n  ".join(["exec env -i", *map(self._word, words), " ".join([*command, *self._streams()])]))
        return "\n".join(lines) + "\n"

    def write(self) -> None:
        """Write the script into the workspace.

        Raises:
            OSError: It cannot be written.
        """
        text = self.text().encode("utf-8", "surrogateescape")
        write_whole(self.after.root / SCRIPT, text, mode=0o700)

    def _remarks(self) -> Iterator[str]:
        call, resources = self.call, self.call.resources
        yield f"The command of {self.name}."
        if call.image is None:
            yield "It runs as a process of this machine."
        else:
            yield f"It runs in a container of the image {call.image.name}, where its paths are;"
            yield "`cwl-prefect runs rerun RUN CALL --shell` opens a shell in one."
        limit = "" if call.timeout_s is None else f", {call.timeout_s:g} s"
        yield f"It asks for: cores {resources.cores:g}, memory {resources.ram_mib:g} MiB{limit}."
        if HIDDEN in self._shown(" ".join([*call.command, *call.env.values()])):
            yield f"Secret values are left out: put them in place of {HIDDEN}."
        if call.entries:
            yield "Staged:"
        yield from (f"  {_told(entry)}" for entry in call.entries)

    def _streams(self) -> Iterator[str]:
        call = self.call
        yield f"<{'/dev/null' if call.stdin is None else self._word(call.stdin)}"
        if call.stdout is not None:
            yield f">{self._word(call.stdout)}"
        if call.stderr is not None:
            yield "2>&1" if call.stderr == call.stdout else f"2>{self._word(call.stderr)}"

    def _word(self, text: str) -> str:
        return shlex.quote(self._shown(text))

    def _shown(self, text: str) -> str:
        return text_without(self.after.of_text(text, self.before), self.secret)


def start_told(job: ContainerJob, call: BoundCall, secret: Sequence[str]) -> str:
    """Return lines that say what is started, in which image, and what was staged for it; secret texts are left out."""
    place = "a process" if job.image is None else f"the image {job.image.name}"
    command = shortened(shlex.join(text_without(word, secret) for word in job.command), _LONGEST_COMMAND)
    lines = [f"{job.name}: {command}", f"  in {place}, {job.resources.cores:g} cores, {job.resources.ram_mib:g} MiB"]
    lines += [f"  staged {_told(entry)}" for entry in call.entries[:_SHOWN_ENTRIES]]
    if len(call.entries) > _SHOWN_ENTRIES:
        lines.append(f"  staged {len(call.entries) - _SHOWN_ENTRIES} more")
    return "\n".join(one_line(text_without(line, secret)) for line in lines)


def _told(entry: StagedEntry) -> str:
    literal = entry.kind in LITERAL_KINDS or entry.kind is EntryKind.EMPTY_DIRECTORY
    source = "made for the call" if literal else f"from {shortened(entry.source, _LONGEST_SOURCE)}"
    return f"{entry.target}  {source}"
