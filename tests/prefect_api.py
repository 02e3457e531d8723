"""Ask a Prefect API as Prefect's own client does: again where SQLite, which lets one write at a time, was busy."""

import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

_TIMES = 20
_PAUSE_S = 0.5
_TIMEOUT_S = 60.0


def ask(method: str, url: str, content: object = None) -> httpx.Response:
    """Give the first answer that is not 503."""
    for _ in range(_TIMES):
        answer = httpx.request(method, url, json=content, timeout=_TIMEOUT_S)
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            break
        time.sleep(_PAUSE_S)
    return answer


def local_api(home: Path) -> str:
    """Give the address of the API of the local server of a home, with what it demands."""
    state = json.loads((home / "server" / "server.json").read_text())
    user, _, secret = state["auth"].partition(":")
    return f"http://{quote(user)}:{quote(secret)}@{state['host']}:{state['port']}/api"


def prefect_environment(home: Path) -> dict[str, str]:
    """Give the variables by which Prefect's own commands use the local server of a home."""
    state = json.loads((home / "server" / "server.json").read_text())
    url = f"http://{state['host']}:{state['port']}/api"
    return {"PREFECT_API_URL": url, "PREFECT_API_AUTH_STRING": state["auth"]}


def read(url: str) -> Any:
    """Give what lies at an address."""
    return ask("GET", url).raise_for_status().json()


def post(url: str, content: object) -> Any:
    """Send something, and give the answer."""
    return ask("POST", url, content).raise_for_status().json()


def matching(api: str, kind: str, **chosen: object) -> list[Any]:
    """Give the objects of a kind, such as ``flow_runs``, that a filter of the API chooses."""
    return post(f"{api}/{kind}/filter", chosen)
