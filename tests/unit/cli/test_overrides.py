"""The file of step overrides."""

from pathlib import Path

import pytest

from cwl_prefect.cli.run import read_overrides
from cwl_prefect.errors import UsageError


def test_yaml_and_json_are_read(tmp_path: Path) -> None:
    path = tmp_path / "overrides.yml"
    path.write_text("prepare.align: {resources: {ram: 8G}, tolerations: [{operator: Exists}]}\n'*': {image: 'x:1'}\n")
    assert read_overrides(path) == {
        "prepare.align": {"resources": {"ram": "8G"}, "tolerations": [{"operator": "Exists"}]},
        "*": {"image": "x:1"},
    }


@pytest.mark.parametrize(
    "content", ["[]", "a: 1", "a: [", "", "a: {b: 2020-01-01}", "a: &a {b: *a}"], ids=lambda text: text or "empty"
)
def test_anything_else_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "overrides.yml"
    path.write_text(content)
    with pytest.raises(UsageError, match="--step-overrides"):
        read_overrides(path)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere"):
        read_overrides(tmp_path / "nowhere")
