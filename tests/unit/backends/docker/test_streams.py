"""What comes over a container's connection, however it is cut up."""

import asyncio
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cwl_prefect.backends.docker.streams import BUFFER_BYTES, Attachment, Output

OUT, ERR = b"out\x00\xff" * 5, b"err\n"
SENT = b"".join(
    struct.pack(">BxxxL", stream, len(data)) + data for stream, data in ((1, OUT), (2, ERR), (1, b""), (1, OUT))
)


async def pieces(sent: bytes, size: int) -> AsyncIterator[bytes]:
    for begin in range(0, len(sent), size):
        yield sent[begin : begin + size]


async def taken(tmp_path: Path, chunks: AsyncIterator[bytes]) -> tuple[bytes, bytes]:
    stdout, stderr = tmp_path / "out", tmp_path / "err"
    with stdout.open("wb") as out, stderr.open("wb") as err:
        await Output(stdout=out.fileno(), stderr=err.fileno()).take(chunks)
    return stdout.read_bytes(), stderr.read_bytes()


@pytest.mark.parametrize("size", [1, 7, 8, 9, 1000])
async def test_every_byte_arrives_however_the_frames_are_cut(tmp_path: Path, size: int) -> None:
    assert await taken(tmp_path, pieces(SENT, size)) == (OUT + OUT, ERR)


async def test_a_frame_that_breaks_off_is_left_out(tmp_path: Path) -> None:
    assert await taken(tmp_path, pieces(SENT[:-1], 100)) == (OUT, ERR)


async def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full, pytest.raises(OSError, match="No space left"):
        await Output(stdout=full.fileno(), stderr=full.fileno()).take(pieces(SENT, 100))


async def test_a_closed_connection_stops_whoever_reads(tmp_path: Path) -> None:
    async def silent(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    server = await asyncio.start_unix_server(silent, tmp_path / "s")
    attachment = Attachment(*await asyncio.open_unix_connection(tmp_path / "s", limit=BUFFER_BYTES))
    reading = asyncio.create_task(taken(tmp_path, attachment.chunks()))
    await asyncio.sleep(0.01)
    attachment.close()
    assert await asyncio.wait_for(reading, 5) == (b"", b"")
    server.close()
