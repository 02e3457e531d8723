import os
import shutil

import pytest

from cwl_prefect.engine.cache.entry import SMALL_FILE
from cwl_prefect.engine.staging.identity import identity
from cwl_prefect.model.job import BoundCall, EntryKind, Resources, StagedEntry
from tests import calls


def call(source, **changes) -> BoundCall:
    entry = StagedEntry(kind=EntryKind.FILE, source=str(source), target="/var/lib/cwl/0/in.txt")
    said = {"command": ("cat", entry.target), "env": {"HOME": "/var/spool/cwl"}, "entries": (entry,), "stdout": "out"}
    return calls.call(**(said | changes))


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "in.txt"
    path.write_text("text")
    return path


def test_a_file_is_the_same_wherever_it_lies(source, tmp_path):
    elsewhere = tmp_path / "elsewhere.txt"
    elsewhere.hardlink_to(source)
    assert identity(call(source)) == identity(call(elsewhere))


def test_what_cannot_change_the_result_does_not_matter(source):
    assert identity(call(source)) == identity(call(source, resources=Resources(cores=4), timeout_s=3))


@pytest.mark.parametrize(
    "changes",
    [
        {"command": ("tac", "/var/lib/cwl/0/in.txt")},
        {"env": {}},
        {"entries": ()},
        {"stdout": "other"},
        {"image": None},
        {"network": True},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_can_change_the_result_does(source, changes):
    assert identity(call(source)) != identity(call(source, **changes))


def test_a_small_file_is_the_same_after_it_was_restored(source, tmp_path):
    restored = tmp_path / "restored.txt"
    restored.write_bytes(source.read_bytes())
    os.utime(restored, ns=(1, 1))
    assert identity(call(restored)) == identity(call(source))


def test_a_small_file_with_other_content_of_the_same_size_is_another(source, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text("tent")
    shutil.copystat(source, other)
    assert identity(call(other)) != identity(call(source))


def test_every_file_that_the_cache_keeps_in_its_entries_is_known_by_its_content(source):
    source.write_bytes(b"a" * SMALL_FILE)
    before = identity(call(source))
    os.utime(source, ns=(1, 1))
    assert identity(call(source)) == before


def test_a_large_file_that_was_written_again_is_another(source):
    source.write_bytes(b"a" * 5000)
    before = identity(call(source))
    os.utime(source, ns=(1, 1))
    assert identity(call(source)) != before
    source.unlink()
    assert identity(call(source)) != before


def test_it_fits_a_label(source):
    assert len(identity(call(source))) <= 63
