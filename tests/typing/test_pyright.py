"""What users write type-checks with pyright too, which is at work in many editors; mypy reads these files by itself."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent

WRONG = """
from cwl_prefect import run_sync
from vegetation_types import VegetationOutputs

number: int = run_sync("vegetation.cwl", {}, outputs=VegetationOutputs).outputs["table"]["path"]
"""


def checked(directory: Path) -> str:
    """Return what pyright says of a directory, by the node beside it and without a look for a later version."""
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "."]
    environment = {**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    return subprocess.run(
        command, cwd=directory, env=environment, stdout=subprocess.PIPE, text=True, check=False, timeout=300
    ).stdout


def test_pyright_finds_no_fault_in_what_users_write() -> None:
    assert checked(HERE).startswith("0 errors, 0 warnings, ")


def test_pyright_knows_what_a_run_gives(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(WRONG)
    (tmp_path / "vegetation_types.py").write_text((HERE / "vegetation_types.py").read_text())
    assert '"str" is not assignable to "int"' in checked(tmp_path)
