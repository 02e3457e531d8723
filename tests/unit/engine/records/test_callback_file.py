from pathlib import Path

import pytest

from cwl_prefect.engine.records.callback_file import read_callbacks
from cwl_prefect.errors import UsageError
from cwl_prefect.model.callbacks import Callback, Command, Level, Moment, Notification, Webhook


def written(directory: Path, text: str) -> Path:
    path = directory / "callbacks.yml"
    path.write_text(text)
    return path


def test_every_kind_is_read(tmp_path):
    text = """
- on: failure
  command: [notify, --loud]
- on: [success, retry]
  step: "prepare.*"
  webhook: https://example.org/x
  headers: {X-Token: t}
  timeout_s: 5
- call: "align[3]"
  notify: slack-webhook/team
- python: os.path:join
"""
    found = read_callbacks(written(tmp_path, text))
    assert found[:3] == (
        Callback(action=Command(arguments=("notify", "--loud")), on=frozenset({Moment.FAILURE})),
        Callback(
            action=Webhook(url="https://example.org/x", headers={"X-Token": "t"}),
            on=frozenset({Moment.SUCCESS, Moment.RETRY}),
            level=Level.STEP,
            name="prepare.*",
            timeout_s=5,
        ),
        Callback(action=Notification(block="slack-webhook/team"), level=Level.CALL, name="align[3]"),
    )
    assert callable(found[3].action)


def test_an_empty_file_wants_nothing(tmp_path):
    assert read_callbacks(written(tmp_path, "# none\n")) == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- {on: failure}", "entry 1: needs exactly one of"),
        ("- {command: [a], webhook: 'http://x'}", "entry 1: needs exactly one of"),
        ("- {command: [a], step: x, call: y}", "entry 1: step and call exclude each other"),
        ("- {command: [a]}\n- {command: [], on: failure}", "entry 2, command"),
        ("- {command: notify --loud}", "entry 1, command"),
        ("- {webhook: 'file:///etc/passwd'}", "not an http or https address"),
        ("- {notify: slack}", "not a block"),
        ("- {python: 'os.path:nothing'}", "cannot be imported"),
        ("- {python: 'no.such:thing'}", "cannot be imported"),
        ("- {python: 'os:sep'}", "no function"),
        ("- {on: sometimes, command: [a]}", "entry 1, on"),
        ("- {command: [a], unknown: 1}", "entry 1, unknown"),
        ("on: failure", "valid list"),
        ("{", "is no YAML"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, text, said):
    with pytest.raises(UsageError, match=said):
        read_callbacks(written(tmp_path, text))


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        read_callbacks(tmp_path / "none.yml")
