"""Fill the cache of ``rocrate-validator`` with the contexts of our crates, so that it needs no network.

Run by the Python of the environment that has the validator. The terms of RO-Crate are those that the package rocrate
holds; those of workflow runs are the few that our crates use.
"""

import io
import json
import sys
from importlib.resources import files

from requests.adapters import HTTPAdapter
from requests_cache import CachedSession
from urllib3 import HTTPResponse

NAMES = "https://w3id.org/ro/terms/workflow-run#"
TERMS = (
    "ContainerImage",
    "ParameterConnection",
    "connection",
    "containerImage",
    "registry",
    "resourceUsage",
    "sha1",
    "sha256",
    "sourceParameter",
    "tag",
    "targetParameter",
)

# What version 1.1 calls otherwise than the version that the package rocrate holds.
BIOSCHEMAS = {
    "ComputationalWorkflow": "https://bioschemas.org/ComputationalWorkflow",
    "FormalParameter": "https://bioschemas.org/FormalParameter",
    "input": "https://bioschemas.org/ComputationalWorkflow#input",
    "output": "https://bioschemas.org/ComputationalWorkflow#output",
}


def main(cache):
    crate = json.loads(files("rocrate").joinpath("data/ro-crate.jsonld").read_text("utf-8"))
    contexts = {
        "https://w3id.org/ro/crate/1.1/context": {**crate["@context"], **BIOSCHEMAS},
        "https://w3id.org/ro/terms/workflow-run/context": {name: NAMES + name for name in TERMS},
    }
    session = CachedSession(cache_name=cache, backend="sqlite", expire_after=-1)
    session.mount("https://", Known(contexts))
    for address in contexts:
        session.get(address).raise_for_status()


class Known(HTTPAdapter):
    """Answers with what is known, and asks nobody."""

    def __init__(self, contexts):
        super().__init__()
        self._contexts = contexts

    def send(self, request, **options):
        body = json.dumps({"@context": self._contexts[request.url]}).encode()
        headers = {"Content-Type": "application/ld+json"}
        found = HTTPResponse(
            io.BytesIO(body), headers=headers, status=200, preload_content=False, request_url=request.url
        )
        return self.build_response(request, found)


if __name__ == "__main__":
    main(sys.argv[1])
