import os

import pytest

from cwl_prefect.engine.identity import identity
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


def test_a_file_that_was_written_again_is_another(source):
    before = identity(call(source))
    os.utime(source, ns=(1, 1))
    assert identity(call(source)) != before
    source.unlink()
    assert identity(call(source)) != before


def test_it_fits_a_label(source):
    assert len(identity(call(source))) <= 63
