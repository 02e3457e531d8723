"""What engines' messages mean."""

import httpx
import pytest

from cwl_prefect.backends.docker.errors import RefusedError, image_errors, plain, refusal, unreachable
from cwl_prefect.errors import ImageError
from cwl_prefect.model.job import Reason

RUNC = "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: "


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (f'{RUNC}exec: "nope": executable file not found in $PATH: unknown', Reason.NOT_FOUND),
        (f'{RUNC}exec: "/nope": stat /nope: no such file or directory: unknown', Reason.NOT_FOUND),
        ("OCI runtime create failed: executable file `nope` not found in $PATH: No such file", Reason.NOT_FOUND),
        (f'{RUNC}exec: "/etc": permission denied: unknown', Reason.NOT_EXECUTABLE),
        (f'{RUNC}exec: "/etc": is a directory: unknown', Reason.NOT_EXECUTABLE),
        (f"{RUNC}exec /tool: exec format error: unknown", Reason.NOT_EXECUTABLE),
        (f"{RUNC}error mounting /a to rootfs: not a directory: unknown", Reason.START_FAILED),
        ('could not select device driver "" with capabilities: [[gpu]]', None),
    ],
)
def test_refusals_of_commands(message: str, reason: Reason | None) -> None:
    refused = refusal(message)
    assert (refused and refused.reason) == reason


def test_messages_lose_the_names_of_layers() -> None:
    assert plain(f'{RUNC}exec: "nope": not found: unknown\n') == 'exec: "nope": not found'


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("dial tcp: lookup registry-1.docker.io: no such host", "network"),
        ("toomanyrequests: You have reached your pull rate limit", "wait"),
        ("pull access denied for x, repository does not exist or may require 'docker login'", "log in"),
        ("manifest for x:1 not found: manifest unknown", "name and tag"),
        ("write /var/lib/docker: no space left on device", "free space"),
        ("invalid reference format", "name:tag"),
        ("no matching manifest for linux/arm64 in the manifest list entries", "architecture"),
    ],
)
def test_hints_for_images(message: str, words: str) -> None:
    with pytest.raises(ImageError) as caught, image_errors("pull", "x"):
        raise RefusedError(500, message)
    assert words in (caught.value.hint or "")


def test_an_unknown_trouble_has_no_hint() -> None:
    with pytest.raises(ImageError, match="cannot pull image x: something odd") as caught, image_errors("pull", "x"):
        raise RefusedError(500, "something odd")
    assert caught.value.hint is None


def test_the_cause_of_an_unreachable_engine_is_the_operating_system_s() -> None:
    outer = httpx.ConnectError("All connection attempts failed")
    outer.__context__ = PermissionError(13, "Permission denied")
    error = unreachable(outer, "unix:///x")
    assert "at unix:///x: [Errno 13] Permission denied" in error.message
    assert error.hint is not None
    assert "group" in error.hint


def test_an_unreachable_engine_without_a_known_cause_keeps_its_words() -> None:
    assert "strange" in unreachable(ValueError("strange")).message
