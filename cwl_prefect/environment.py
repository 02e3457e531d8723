"""What the environment says of this process that is no setting."""

import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path

_STAGE_VARIABLE = re.compile(r"(?:ADES_)?(STAGE(?:IN|OUT)_[A-Z0-9_]+)")  # as platforms of Earth observation have them


def search_path() -> str:
    """PATH for tools that run as processes of this machine."""
    return os.environ.get("PATH", os.defpath)


def own_pod() -> tuple[str, str] | None:
    """Namespace and name of the pod that this process runs in, or None outside of a cluster.

    The name of the host is the pod's, unless the pod is in its node's network or is given another: then POD_NAME tells.
    """
    if "KUBERNETES_SERVICE_HOST" not in os.environ:
        return None
    name = os.environ.get("POD_NAME") or os.environ.get("HOSTNAME")
    namespace = os.environ.get("POD_NAMESPACE") or _mounted_namespace()
    return (namespace, name) if name and namespace else None


def own_flow_run() -> str | None:
    """Identifier of the flow run that a worker started this process for, or None where none did."""
    return os.environ.get("PREFECT__FLOW_RUN_ID")


def is_stage_variable(name: str) -> bool:
    """Check whether the input of a tool that stages data is given by a variable, as ``ADES_STAGEIN_AWS_REGION``."""
    return _STAGE_VARIABLE.fullmatch(name) is not None


def stage_variables(names: Iterable[str]) -> dict[str, str]:
    """Return the values of inputs that variables give, with and without ``ADES_`` in front; those that are set."""
    found: dict[str, str] = {}
    for name in names:
        if known := _STAGE_VARIABLE.fullmatch(name):
            value = os.environ.get(f"ADES_{known[1]}") or os.environ.get(known[1])
            found |= {name: value} if value else {}
    return found


def in_notebook() -> bool:
    """Check whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return hasattr(shell, "kernel")


def wanted_telemetry() -> frozenset[str]:
    """Return what OpenTelemetry's variables want to be sent, of traces and metrics; nothing without an address.

    See https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables.
    """
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if disabled or not os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return frozenset()
    exporters = {name: os.environ.get(f"OTEL_{name.upper()}_EXPORTER", "otlp") for name in ("traces", "metrics")}
    return frozenset(name for name, exporter in exporters.items() if exporter.strip().lower() != "none")


def _mounted_namespace() -> str | None:
    try:
        return Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace").read_text(encoding="utf-8").strip()
    except OSError:
        return None


def environment() -> dict[str, str]:
    """A copy of the environment, for child processes of cwl-prefect itself; never for tools."""
    return dict(os.environ)


def reach_directly(host: str) -> None:
    """Let HTTP clients of this process, and of those that it starts, pass by the environment's proxies to a host.

    ``no_proxy`` counts before ``NO_PROXY`` where both are set (urllib.request.getproxies_environment).
    """
    named = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    hosts = [found for part in named.split(",") if (found := part.strip())]
    if host not in hosts and hosts != ["*"]:
        os.environ["no_proxy"] = ",".join([*hosts, host])
