"""Ask the API about what Prefect's own client has no method for, or only one that asks for more."""

from collections.abc import Mapping

from prefect.client.orchestration import PrefectClient

from cwl_prefect.server.client import ApiPath, Post


def posting(client: PrefectClient) -> Post:
    """Return what asks the API of a client, which knows how the user configured it."""

    async def post(path: ApiPath, content: Mapping[str, object], **ids: str) -> bytes:
        """Ask."""
        return (await client.request("POST", path, path_params=ids, json=dict(content))).content

    return post
