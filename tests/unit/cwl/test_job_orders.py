import io
import sys

import pytest

from cwl_prefect.cwl.job_orders import received_job_order
from cwl_prefect.errors import InputError


@pytest.fixture
def given(monkeypatch, tmp_path):
    """Let something stand on the standard input of a process in an own directory."""
    monkeypatch.chdir(tmp_path)

    def given(content: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    return given


class TestStandardInput:
    def test_paths_start_from_the_current_directory(self, given, tmp_path):
        given("{f: {class: File, path: ü/a.txt}, n: 3}".encode())
        found = received_job_order()
        assert found == {"f": {"class": "File", "location": f"{tmp_path.as_uri()}/%C3%BC/a.txt"}, "n": 3}

    def test_nothing_is_an_empty_order(self, given):
        given(b"")
        assert received_job_order() == {}

    @pytest.mark.parametrize(
        ("content", "told"),
        [(b"- 1", "expected a mapping"), (b"a: [", "1:5: not YAML"), (b"a: \xff", "not a text in UTF-8")],
        ids=["list", "broken", "latin-1"],
    )
    def test_errors_name_it(self, given, content, told):
        given(content)
        with pytest.raises(InputError, match=f"^standard input.*{told}"):
            received_job_order()
