"""What may block runs in a thread and gives its result here."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from cwl_prefect._lib.threads import in_thread


async def test_a_function_is_called_in_a_thread_of_these():
    with ThreadPoolExecutor(1, thread_name_prefix="ours") as threads:
        name = await in_thread(threads, lambda *, suffix: threading.current_thread().name + suffix, suffix="!")
    assert name == "ours_0!"


async def test_what_it_raises_is_raised_here():
    with ThreadPoolExecutor(1) as threads, pytest.raises(ValueError, match="invalid literal"):
        await in_thread(threads, int, "x")
