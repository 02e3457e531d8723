"""Addresses that only a document names, where names and redirections lead into this machine's network."""

import json
import socket
from pathlib import Path
from threading import Event

import pytest

from cwl_prefect.errors import StorageError
from cwl_prefect.storage.downloads import Downloads
from cwl_prefect.storage.filesystems import filesystem
from cwl_prefect.storage.outer import InnerAddressError, outer_only
from cwl_prefect.storage.stac.stage_in import Choice
from tests.unit.storage.stac.documents import item
from tests.web_server import WebServer, running_web_server

REFUSED = r"cannot be read: it leads into the network of this machine(?s:.*)CWL_PREFECT_ALLOW_URL"


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resolve names below .example to another address of this machine, without a network."""
    asked = socket.getaddrinfo

    def answer(host: str, port: int, *arguments: object, **options: object) -> object:
        named = isinstance(host, str) and host.endswith(".example")
        return asked("127.0.0.1" if named else host, port, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,127.0.0.2,.example")


@pytest.fixture
def inner(web: WebServer) -> WebServer:
    """A server that the world does not reach, with a secret."""
    web.put("secret", b"sesame")
    return web


def read(url: str) -> bytes:
    files, path = filesystem(url)
    return bytes(files.cat_file(path))


@pytest.fixture
def downloads(tmp_path: Path) -> Downloads:
    return Downloads(directory=tmp_path / "downloads")


def by_name(web: WebServer, host: str) -> str:
    return web.address.replace("127.0.0.1", host)


def test_an_inner_address_is_refused_by_number_and_by_name(inner, downloads):
    for address in (inner.address, by_name(inner, "data.example"), by_name(inner, "127.0.0.2")):
        with outer_only(["https://stac.example/catalog.json"]), pytest.raises(StorageError, match=REFUSED):
            downloads.file(f"{address}/secret", Event())
    assert inner.asked == []


def test_a_redirection_into_the_network_is_refused(inner, downloads):
    with running_web_server("127.0.0.2") as outer:
        outer.redirections["a.tif"] = f"{inner.address}/secret"
        outer.redirections["by-name"] = f"{by_name(inner, 'data.example')}/secret"
        outer.redirections["own"] = f"{outer.address}/b.tif"
        outer.put("b.tif", b"b")
        with outer_only([outer.address]):
            for name in ("a.tif", "by-name"):
                with pytest.raises(StorageError, match=REFUSED):
                    downloads.file(f"{outer.address}/{name}", Event())
            assert downloads.file(f"{outer.address}/own", Event()).path.read_bytes() == b"b"
    assert inner.asked == []


def test_a_host_that_a_person_named_is_read_by_its_name_wherever_it_is(inner):
    with outer_only([f"{by_name(inner, 'Stac.example')}/catalog.json"]):
        assert read(f"{by_name(inner, 'stac.example')}/secret") == b"sesame"


def test_a_proxy_may_be_within_the_network(inner, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("http_proxy", inner.address)
    inner.put("http://world.example/a", b"through it")
    with outer_only([]):
        assert read("http://world.example/a") == b"through it"


def test_what_a_person_names_is_read_as_ever(inner):
    assert read(f"{by_name(inner, 'data.example')}/secret") == b"sesame"
    with outer_only([]), pytest.raises(InnerAddressError):
        read(f"{by_name(inner, 'data.example')}/secret")
    assert read(f"{by_name(inner, 'data.example')}/secret") == b"sesame"


@pytest.mark.parametrize("allowed", [False, True])
def test_a_catalog_s_asset_that_a_name_or_redirection_brings_within_the_network(inner, tmp_path, allowed):
    with running_web_server("127.0.0.2") as outer:
        outer.redirections["moved.tif"] = f"{inner.address}/secret"
        for asset in (f"{by_name(inner, 'data.example')}/secret", f"{outer.address}/moved.tif"):
            url = outer.put("item.json", json.dumps(item(assets={"a": asset})).encode())
            choice = Choice(allowed=(by_name(inner, "data.example"), inner.address) if allowed else ())
            downloads = Downloads(directory=tmp_path / "staged", stac=choice)
            if allowed:
                tree = downloads.tree(url, Event())
                assert [path.read_bytes() for path in tree.glob("*/*") if path.suffix != ".json"] == [b"sesame"]
            else:
                with pytest.raises(StorageError, match=REFUSED):
                    downloads.tree(url, Event())
    assert bool(inner.asked) is allowed
