"""Checksums as CWL's File objects hold them."""

import io

import pytest

from cwl_prefect._lib.hashing import checksum_of, digits, file_checksum, stream_checksum

EMPTY = "sha1$da39a3ee5e6b4b0d3255bfef95601890afd80709"


@pytest.mark.parametrize("content", [b"", b"hello\n", bytes(range(256)) * 5000], ids=["empty", "text", "large"])
def test_bytes_streams_and_files_have_one_checksum(content, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(content)

    assert checksum_of(content) == stream_checksum(io.BytesIO(content)) == file_checksum(path)


def test_a_checksum_names_its_algorithm():
    assert checksum_of(b"") == EMPTY
    assert digits(EMPTY) == EMPTY[5:]


def test_a_file_that_is_not_there_has_none(tmp_path):
    with pytest.raises(FileNotFoundError):
        file_checksum(tmp_path / "none")
