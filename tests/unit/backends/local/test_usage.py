import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from cwl_prefect.backends.local.usage import OwnPeak, transferred, used


def test_a_peak_below_that_of_this_process_is_not_known(monkeypatch):
    peaks = iter((1024, 2048, 4096))
    monkeypatch.setattr("cwl_prefect.backends.local.usage._own_peak_kib", lambda: next(peaks))
    counted, own_peak = SimpleNamespace(ru_utime=1.5, ru_stime=0.25, ru_maxrss=2048), OwnPeak()
    assert used(counted, {}, own_peak).peak_memory_mib == 2
    found = used(counted, {"read_bytes": 1, "write_bytes": 2}, own_peak)
    assert (found.cpu_s, found.peak_memory_mib, found.read_bytes, found.written_bytes) == (1.75, None, 1, 2)
    assert used(counted, {}, own_peak).peak_memory_mib is None
    assert next(peaks) == 4096, "it was read again although it cannot have become less"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells it")
def test_what_an_ended_process_wrote_is_known_until_it_is_reaped(tmp_path):
    code = "open('x', 'wb').write(b'a' * 100_000)"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    found = transferred(process.pid)
    process.wait()
    assert found["wchar"] >= 100_000
    assert transferred(process.pid) == {}
