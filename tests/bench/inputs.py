"""What it takes to fetch many small inputs, against the bulk get of their file system with as many at a time."""

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from cwl_prefect.storage.downloads import PARALLEL, Downloads
from cwl_prefect.storage.fetching import fetched
from cwl_prefect.storage.filesystems import filesystem
from tests.object_store import separate_store

COUNT, SIZE = 1000, 10 * 1024


@dataclass(frozen=True, kw_only=True)
class Times:
    """Seconds for all inputs, one for each repetition."""

    ours: tuple[float, ...]
    bulk: tuple[float, ...]


def measure(directory: Path, *, repeat: int) -> Times:
    """Fetch inputs of 10 KiB from a store that is a process of its own, by ours and by the bulk get in turn."""
    directory.mkdir(parents=True, exist_ok=True)
    with separate_store() as store:
        urls = [store.put(f"inputs/{number}", os.urandom(SIZE)) for number in range(COUNT)]
        works = {"ours": lambda place: _by_ours(urls, place), "bulk": lambda place: _by_bulk(urls, place)}
        found: dict[str, list[float]] = {name: [] for name in works}
        _by_bulk(urls[:PARALLEL], directory)  # imports, and the first connections
        for number in range(repeat):
            for name in sorted(works, reverse=number % 2 == 1):  # what comes first is no better off on the whole
                found[name].append(_seconds(works[name], directory / name))
    return Times(ours=tuple(found["ours"]), bulk=tuple(found["bulk"]))


def _by_ours(urls: list[str], place: Path) -> None:
    files: list[object] = [{"class": "File", "location": url} for url in urls]
    fetched({"files": files}, Downloads(directory=place), Event(), lambda *_: None)


def _by_bulk(urls: list[str], place: Path) -> None:
    files, _ = filesystem(urls[0])
    names = [url.removeprefix("s3://") for url in urls]
    files.get(names, [str(place / str(number)) for number in range(len(urls))], batch_size=PARALLEL)


def _seconds(work: Callable[[Path], None], place: Path) -> float:
    place.mkdir()
    began = time.perf_counter()
    work(place)
    seconds = round(time.perf_counter() - began, 3)
    shutil.rmtree(place)
    return seconds
