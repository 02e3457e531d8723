"""Which variables of an environment may reach a tool, and which look like credentials."""

import re
from collections.abc import Mapping

FLOW_RUN_PREFIXES = ("PREFECT_", "CWL_PREFECT_")
"""Environment variables of the flow run; no tool ever sees one."""

_CREDENTIAL = re.compile(
    r"(?:^|_)(?:API_?KEYS?|(?:ACCESS|SECRET|PRIVATE|ACCOUNT|STORAGE)_KEYS?|SECRETS?|TOKENS?|PASSW(?:OR)?DS?|PWD|PASSPHRASE|"
    r"CREDENTIALS?|AUTH|SAS|CONNECTION_STRING)(?:_|$)|(?:PASSWORD|SECRET|TOKEN|APIKEY)",
    re.IGNORECASE,
)


def looks_secret(name: str) -> bool:
    """Check whether a variable's name says that its value is a credential."""
    return _CREDENTIAL.search(name) is not None


def of_flow_run(name: str) -> bool:
    """Check whether an environment variable is one of Prefect or cwl-prefect."""
    return name.upper().startswith(FLOW_RUN_PREFIXES)


def tool_environment(environment: Mapping[str, str | None]) -> dict[str, str]:
    """Return what of an environment may reach a tool: nothing of Prefect, of cwl-prefect, or without a value."""
    return {name: value for name, value in environment.items() if value is not None and not of_flow_run(name)}
