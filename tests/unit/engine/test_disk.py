import pytest

from cwl_prefect.engine.disk import demand_room
from cwl_prefect.errors import BackendError


def test_room_is_enough(tmp_path):
    demand_room(tmp_path, 0.001)


def test_a_full_disk_is_told_with_what_helps(tmp_path):
    with pytest.raises(BackendError, match=r"the disk is full: \d+ MiB are free") as raised:
        demand_room(tmp_path, 1e12)
    assert "workspace du" in (raised.value.hint or "")


def test_nothing_is_looked_at_where_nothing_is_demanded_or_there(tmp_path):
    demand_room(tmp_path, 0)
    demand_room(tmp_path / "none", 1e12)
