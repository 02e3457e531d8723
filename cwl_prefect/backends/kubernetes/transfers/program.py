"""Fetches the inputs of a call into its pod, and uploads what its tool left.

What runs in a pod is the text of this module and of those that it needs, so that any image with Python 3.11 will do,
and it is always of the driver's version::

    python3 -I -S -c TEXT fetch|store URL CALL VOLUME ALIVE PROGRAM KEPT

ALIVE is where the pipe goes that is open for as long as the tool's container lives, PROGRAM where that goes which
connects the tool's streams: from the image of another init container where the store has none for this kind of node
below KEPT, and from the store afterwards, so that further pods need no such container. Tools change nothing there.
"""

import os
import sys

from cwl_prefect.backends.kubernetes.transfers.bucket import NOT_FOUND, Bucket, RefusedError
from cwl_prefect.backends.kubernetes.transfers.trees import decoded, each, encoded, inside, make, scanned

INPUTS, OUTPUTS = "inputs.json", "outputs.json"
"""Names of the lists of a call, below its own prefix."""

LACKING = 75
"""How the program ends where another try finds what this one lacked (sysexits.h, EX_TEMPFAIL)."""

_TERMINATION_LOG = "/dev/termination-log"


class LackingError(Exception):
    """Something is not in the store; who sends the call again sends it too."""


def fetch(bucket: Bucket, call: str, volume: str, alive: str, program: str, kept: str) -> None:
    """Put the inputs of a call onto the volume, the program, and a pipe that tells its tool's end.

    Raises:
        LackingError: Something is not there.
        RefusedError: Something cannot be read.
        OSError: Something cannot be written.
    """
    os.makedirs(os.path.dirname(alive), exist_ok=True)
    _bring(bucket, program, f"{kept}/{os.uname().machine}")
    body = bucket.read(f"{call}/{INPUTS}")
    for tree in decoded(body):
        top = inside(volume, tree.path)
        os.makedirs(os.path.dirname(top), exist_ok=True)
        make(top, tree.entries, lambda entry, place: _get(bucket, entry.sha1, place))
    with open(f"{alive}.{INPUTS}", "wb") as stream:  # for the container that uploads
        stream.write(body)
    with open(f"{alive}.py", "wb") as stream:
        stream.write(globals().get("text", b""))
    os.mkfifo(alive)


def _get(bucket: Bucket, sha1: str, place: str) -> None:
    try:
        bucket.get(sha1, place)
    except RefusedError as error:
        if error.status != NOT_FOUND:
            raise
        raise LackingError(str(error)) from None


def _bring(bucket: Bucket, place: str, name: str) -> None:
    """Put the program into the store where the pod has brought it, else onto the volume.

    An empty object says that nodes of this kind lack it.
    """
    if os.path.exists(place):
        if not bucket.size(name):
            with open(place, "rb") as stream:
                bucket.write(name, stream.read())
        return
    try:
        content = bucket.read(name)
    except RefusedError as error:
        if error.status != NOT_FOUND:
            raise
        content = b""
    if not content:
        bucket.write(name, b"")
        raise LackingError(f"{name} is not in the store yet")
    with open(place, "wb") as stream:
        stream.write(content)
    os.chmod(place, 0o755)  # noqa: S103 - a program


def store(bucket: Bucket, call: str, volume: str, alive: str, *_: str) -> None:
    """Wait for the end of a tool, then upload what it left, and a list of that as the last.

    Raises:
        RefusedError: The store does not take something.
        OSError: Something cannot be read.
    """
    with open(alive, "rb") as pipe:  # the tool's container has it open for as long as it lives, however it ends
        pipe.read()
    with open(f"{alive}.{INPUTS}", "rb") as stream:
        inputs = decoded(stream.read())
    known = {entry.sha1 for tree in inputs for entry in tree.entries}
    left = [tree._replace(entries=tuple(scanned(inside(volume, tree.path)))) for tree in inputs if tree.writable]
    places = {
        entry.sha1: inside(inside(volume, tree.path), entry.path)
        for tree in left
        for entry in tree.entries
        if entry.sha1 and entry.sha1 not in known
    }
    each(lambda found: bucket.put(*found), places.items())
    bucket.write(f"{call}/{OUTPUTS}", encoded(left))


def main(arguments: list[str]) -> int:
    """Do what the arguments say; why it failed is what the container says at its end."""
    command, url, *others = arguments
    try:
        (fetch if command == "fetch" else store)(Bucket(url, os.environ), *others)
    except (LackingError, RefusedError, OSError, ValueError) as error:
        with open(_TERMINATION_LOG, "w", encoding="utf-8", errors="replace") as stream:
            stream.write(str(error))
        return LACKING if isinstance(error, LackingError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
