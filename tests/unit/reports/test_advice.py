import pytest

from cwl_prefect.model.overrides import read_override
from cwl_prefect.reports.advice import advise, overrides
from cwl_prefect.reports.record import read_record
from tests.unit.reports.traces import ENDED, STARTED, tried, write


def advised(directory, *lines, margin=0.25):
    return advise(read_record(write(directory, STARTED, *lines, ENDED)), margin)


def test_a_step_is_to_ask_for_its_highest_peak_and_a_margin(tmp_path):
    lines = [
        tried("align[0]", cores=8, ram_mib=2048),
        tried("align[1]", cores=8, ram_mib=2048, peak_memory_mib=512, cpu_s=8),
    ]
    (step,) = advised(tmp_path, *lines)
    assert (step.used_cores, step.advised_cores) == (2.0, 3)
    assert (step.used_mib, step.advised_mib) == (512, 640)
    assert overrides([step]) == {"align": {"resources": {"cores": 3, "ram": "640M"}}}


def test_what_was_asked_for_in_vain_is_added_up(tmp_path):
    (step,) = advised(tmp_path, tried("align[0]"), tried("align[1]", "failed", cpu_s=None, peak_memory_mib=None))
    assert (step.idle_core_s, step.idle_mib_s) == ((2 - 1.5) * 4, (512 - 300) * 4)


def test_what_was_not_measured_is_not_nothing(tmp_path):
    (step,) = advised(tmp_path, tried("align", cpu_s=None, peak_memory_mib=None))
    assert step.idle_core_s is step.idle_mib_s is step.advised_mib is None


@pytest.mark.parametrize(
    ("asked", "cpu_s", "expected"),
    [
        pytest.param(4, 0.4, 1, id="at-least-one"),
        pytest.param(0.5, 0.4, 0.5, id="the-part-of-one-that-is-enough"),
        pytest.param(0.5, 4.0, 2, id="more-than-a-part"),
        pytest.param(1, 8.0, 3, id="more-than-asked"),
        pytest.param(1, None, None, id="not-measured"),
    ],
)
def test_cores_are_whole(tmp_path, asked, cpu_s, expected):
    (step,) = advised(tmp_path, tried("align", cores=asked, cpu_s=cpu_s))
    assert step.advised_cores == expected


def test_a_moment_tells_nothing_of_cores(tmp_path):
    (step,) = advised(tmp_path, tried("align", ended_at=1002.5))
    assert step.advised_cores is None


def test_steps_that_fit_or_were_not_run_are_left_alone(tmp_path):
    cached = {"event": "call_ended", "at": 1001, "step": "sort", "call": "sort", "state": "cached", "saved_s": 4.0}
    found = advised(tmp_path, tried("align", ram_mib=384), cached)
    assert [step.step for step in found] == ["align"]
    assert overrides(found) == {}


def test_steps_in_scatters_are_one_and_what_is_advised_can_be_read(tmp_path):
    found = advised(tmp_path, {**tried("map[0].sort"), "step": "map[0].sort"}, margin=0)
    ((pattern, members),) = overrides(found).items()
    read = read_override(pattern, members, "test")
    assert (read.pattern, read.tool.resources.ram, read.tool.resources.cores) == ("map.sort", 304, None)
