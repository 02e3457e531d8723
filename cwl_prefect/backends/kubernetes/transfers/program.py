"""Fetches the inputs of a call into its pod, and uploads what its tool left.

What runs in a pod is the text of this module and of those that it needs, so that any image with Python 3.11 will do,
and it is always of the driver's version::

    python3 -I -S -c TEXT fetch|store URL CALL VOLUME ALIVE
"""

import os
import sys
from dataclasses import replace
from pathlib import Path

from cwl_prefect.backends.kubernetes.transfers.bucket import Bucket, RefusedError
from cwl_prefect.backends.kubernetes.transfers.trees import decoded, each, encoded, inside, make, scanned

INPUTS, OUTPUTS = "inputs.json", "outputs.json"
"""Names of the lists of a call, below its own prefix."""

_TERMINATION_LOG = "/dev/termination-log"


def fetch(bucket: Bucket, call: str, volume: str, alive: str) -> None:
    """Put the inputs of a call onto the volume, and a pipe that tells its tool's end.

    Raises:
        RefusedError: Something cannot be read.
        OSError: Something cannot be written.
    """
    for tree in decoded(bucket.read(f"{call}/{INPUTS}")):
        top = inside(volume, tree.path)
        Path(top).parent.mkdir(parents=True, exist_ok=True)
        make(top, tree.entries, lambda entry, place: bucket.get(entry.sha1, place))
    Path(alive).parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(alive)


def store(bucket: Bucket, call: str, volume: str, alive: str) -> None:
    """Wait for the end of a tool, then upload what it left, and a list of that as the last.

    Raises:
        RefusedError: The store does not take something.
        OSError: Something cannot be read.
    """
    with Path(alive).open("rb") as pipe:  # the tool's container has it open for as long as it lives, however it ends
        pipe.read()
    inputs = decoded(bucket.read(f"{call}/{INPUTS}"))
    known = {entry.sha1 for tree in inputs for entry in tree.entries}
    left = [replace(tree, entries=tuple(scanned(inside(volume, tree.path)))) for tree in inputs if tree.writable]
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
    command, url, call, volume, alive = arguments
    try:
        work = {"fetch": fetch, "store": store}[command]
        work(Bucket(url, os.environ), call, volume, alive)
    except (RefusedError, OSError, ValueError) as error:
        Path(_TERMINATION_LOG).write_text(str(error), "utf-8", "replace")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
