"""Ask about runs by Prefect's own client, which knows how the user configured the API."""

from prefect.client.orchestration import PrefectClient

from cwl_prefect.flows.run_records import FILTER_PATH, Ask, Question, RunRecord, read_records


def asking(client: PrefectClient) -> Ask:
    """Give what asks the API of a client."""

    async def ask(question: Question) -> list[RunRecord]:
        """Ask for runs."""
        return read_records((await client.request("POST", FILTER_PATH, json=question)).content)

    return ask
