"""The streams of a container: bytes from its stdout and stderr into files, and from a file into its stdin."""

import asyncio
import os
import struct
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from cwl_prefect._lib.cancellation import shielded
from cwl_prefect.backends.outcomes import open_output
from cwl_prefect.model.job import ContainerJob

BUFFER_BYTES = 1 << 18
_HEADER = struct.Struct(">BxxxL")
_STDERR = 2


class Frame(NamedTuple):
    """What a container wrote at once."""

    stream: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Descriptors of the files that take a container's output; the same twice where both streams share a file."""

    stdout: int
    stderr: int

    @classmethod
    def open(cls, job: ContainerJob) -> "Output":
        """Open the files of a job, emptied; blocks.

        Raises:
            OSError: One cannot be opened.
        """
        stdout = open_output(job.stdout)
        if job.stderr == job.stdout:
            return cls(stdout=stdout, stderr=stdout)
        try:
            return cls(stdout=stdout, stderr=open_output(job.stderr))
        except OSError:
            os.close(stdout)
            raise

    def write(self, frames: Iterable[Frame]) -> None:
        """Write frames to the files of their streams; blocks.

        Raises:
            OSError: A file cannot be written.
        """
        for frame in frames:
            view = memoryview(frame.data)
            while view:
                view = view[os.write(self.stderr if frame.stream == _STDERR else self.stdout, view) :]

    async def take(self, chunks: AsyncIterable[bytes]) -> None:
        """Write all that a container's streams bring, to their end.

        Raises:
            OSError: A file cannot be written.
        """
        async for frames in framed(chunks):
            # Nobody may close the files while a thread still writes.
            await shielded(asyncio.to_thread(self.write, frames))

    def close(self) -> None:
        """Close them."""
        for descriptor in {self.stdout, self.stderr}:
            os.close(descriptor)


async def framed(chunks: AsyncIterable[bytes]) -> AsyncIterator[list[Frame]]:
    """Yield the frames of both streams, all that have come whole at once; one that breaks off is left out."""
    pending = bytearray()
    async for chunk in chunks:
        pending += chunk
        frames, begin = [], 0
        while len(pending) - begin >= _HEADER.size:
            stream, length = _HEADER.unpack_from(pending, begin)
            end = begin + _HEADER.size + length
            if end > len(pending):
                break
            frames.append(Frame(stream, bytes(pending[begin + _HEADER.size : end])))
            begin = end
        del pending[:begin]
        if frames:
            yield frames


class Attachment:
    """A connection to a container's streams, made before the container starts so that no byte is missed."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield what comes until the container closes its streams, or the connection ends."""
        with suppress(ConnectionError):
            while chunk := await self._reader.read(BUFFER_BYTES):
                yield chunk

    async def feed(self, source: Path) -> None:
        """Send a file and then the end of input; a container that does not read to the end is no error."""
        with suppress(OSError):  # the file was readable a moment ago; the command sees the end of its input
            file = await asyncio.to_thread(source.open, "rb")
            with file:
                while chunk := await asyncio.to_thread(file.read, BUFFER_BYTES):
                    self._writer.write(chunk)
                    await self._writer.drain()
        with suppress(OSError):
            self._writer.write_eof()

    def close(self) -> None:
        """End the connection; whoever is reading or feeding stops."""
        self._writer.transport.abort()
