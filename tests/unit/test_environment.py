import os
import sys
import urllib.request
from types import SimpleNamespace

import pytest

from cwl_prefect import environment
from cwl_prefect.settings import Settings


def test_the_search_path_is_the_user_s(monkeypatch):
    monkeypatch.setenv("PATH", "/my/bin")
    assert environment.search_path() == "/my/bin"


def test_without_a_search_path_there_is_the_system_s(monkeypatch):
    monkeypatch.delenv("PATH")
    assert "/bin" in environment.search_path()


def test_the_environment_is_a_copy():
    environment.environment()["CWL_PREFECT_RETRIES"] = "9"
    assert Settings().retries == 0


@pytest.mark.parametrize(
    ("shell", "found"),
    [(None, False), (SimpleNamespace(), False), (SimpleNamespace(kernel="ipykernel"), True)],
    ids=["plain-python", "terminal", "kernel"],
)
def test_a_notebook_is_known_by_the_shell_of_its_kernel(monkeypatch, shell, found):
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert environment.in_notebook() is found


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "127.0.0.1"),
        ({"no_proxy": "example.org, 10.0.0.1"}, "example.org,10.0.0.1,127.0.0.1"),
        ({"NO_PROXY": "example.org"}, "example.org,127.0.0.1"),
        ({"no_proxy": "example.org", "NO_PROXY": "other.org"}, "example.org,127.0.0.1"),
        ({"no_proxy": "127.0.0.1"}, "127.0.0.1"),
        ({"no_proxy": "*"}, "*"),
    ],
    ids=["none", "some", "some in capitals", "both", "already", "all"],
)
def test_a_host_is_reached_without_a_proxy_beside_those_that_were_named(monkeypatch, given, expected):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, given.get(name, ""))
    environment.reach_directly("127.0.0.1")
    assert os.environ["no_proxy"] == expected
    monkeypatch.setenv("http_proxy", "http://proxy.example.org")
    assert urllib.request.proxy_bypass("127.0.0.1")
