"""What containers used, read from their control groups at the moment they end: the engine removes the group soon after.

The engine itself tells no more than a sample of each second, and nothing of a container that has ended.
"""

import os
import selectors
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from cwl_prefect.backends.cgroups import ROOT, ControlGroup
from cwl_prefect.model.usage import Usage

_POLL_S = 0.005
_PATIENCE_S = 10.0  # an engine that starts no container within it is busy, and one without groups is not asked for ever
_PLACES = (
    "docker/{}",
    "system.slice/docker-{}.scope",
    f"user.slice/user-{os.geteuid()}.slice/user@{os.geteuid()}.service/user.slice/docker-{{}}.scope",
)
"""Where an engine puts the group of a container, by its driver for groups, and where it runs without root."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Container:
    identifier: str
    group: ControlGroup | None = None  # None: it is not there yet
    descriptor: int | None = None  # of a process of it that is waited for
    usage: Usage = field(default_factory=Usage)
    until_s: float = field(default_factory=lambda: time.monotonic() + _PATIENCE_S)

    @property
    def is_looked_for(self) -> bool:
        """Whether a process of it may yet be found."""
        return self.descriptor is None and time.monotonic() < self.until_s


class Measuring:
    """Reads what containers used in the moment that their processes end, in one thread for all of them.

    Containers of an engine on another machine, or below a group of the template's own, are not found.

    Args:
        root: Where control groups are mounted.
    """

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root
        self._containers: dict[str, _Container] = {}
        self._lock = threading.Lock()
        self._wake: int | None = None  # a descriptor that the thread waits for, too
        self._closed = False

    def follow(self, identifier: str) -> None:
        """Look for the group of a container that is about to start, and wait for its end."""
        with self._lock:
            if self._closed:
                return
            self._containers[identifier] = _Container(identifier=identifier)
            if self._wake is None:
                self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
                threading.Thread(target=self._work, args=(self._wake,), name="cwl-prefect-usage", daemon=True).start()
            os.eventfd_write(self._wake, 1)

    def usage(self, identifier: str) -> Usage:
        """Return what a container used that has ended; it is not followed any more.

        Nothing where its end was missed: what was read before says too little.
        """
        with self._lock:
            found = self._containers.pop(identifier, None)
        if found is None:
            return Usage()
        return found.usage if found.descriptor is None or found.group is None else found.group.usage()

    def close(self) -> None:
        """Let the thread end."""
        with self._lock:  # the thread closes the descriptor, and takes the lock for it
            wake, self._wake, self._closed = self._wake, None, True
            if wake is not None:
                os.eventfd_write(wake, 1)

    def _work(self, wake: int) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(wake, selectors.EVENT_READ)
            while not self._closed:
                with self._lock:
                    looked_for = [found for found in self._containers.values() if found.is_looked_for]
                for found in looked_for:
                    self._look(found, selector)
                for key, _ in selector.select(_POLL_S if looked_for else None):
                    if key.data is None:
                        os.eventfd_read(wake)
                    else:
                        _end(key.data, selector)
            with self._lock:
                for key in tuple(selector.get_map().values()):
                    os.close(key.fd)

    def _look(self, container: _Container, selector: selectors.BaseSelector) -> None:
        """Begin to wait for a process of a container, where it has any."""
        container.group = container.group or self._group(container.identifier)
        for number in () if container.group is None else container.group.processes[:1]:
            with suppress(OSError, AttributeError):  # it has just ended, or the kernel is old
                container.descriptor = os.pidfd_open(number)
                container.usage = Usage()  # what was read at the end of another says too little from now on
                selector.register(container.descriptor, selectors.EVENT_READ, container)

    def _group(self, identifier: str) -> ControlGroup | None:
        groups = (ControlGroup(below=place.format(identifier), root=self._root) for place in _PLACES)
        return next((group for group in groups if group.exists), None)


def _end(container: _Container, selector: selectors.BaseSelector) -> None:
    """Read what a container used of which a process ended; where others are left, they are waited for in turn."""
    if container.group is None or container.descriptor is None:
        return
    container.usage = container.group.usage()
    selector.unregister(container.descriptor)
    os.close(container.descriptor)
    container.descriptor = None
    container.until_s = time.monotonic() + _PATIENCE_S
