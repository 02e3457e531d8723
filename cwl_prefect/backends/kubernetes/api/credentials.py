"""Credentials of a kubeconfig, which may end before a run does: of a plugin, an identity provider or a file."""

import asyncio
import time
from typing import TYPE_CHECKING, Protocol

from pydantic import JsonValue

from cwl_prefect.errors import BackendError

if TYPE_CHECKING:
    from kubernetes_asyncio.client import ApiClient, Configuration
    from kubernetes_asyncio.config.kube_config import KubeConfigLoader

_AGAIN_S = 5.0  # between two times that logging in fails, however many requests wait for it
_TOKEN = "BearerToken"  # noqa: S105 - as Kubernetes' client names it


class ClusterConfig(Protocol):
    """Which cluster to use, as a block of Prefect says it."""

    config: dict[str, JsonValue]
    context_name: str | None


class Credentials:
    """What a kubeconfig says about a user, asked again whenever the API server no longer takes what it gave.

    Args:
        cluster: The kubeconfig and its context; None for the kubeconfig of this process.
    """

    def __init__(self, cluster: ClusterConfig | None = None) -> None:
        self._cluster = cluster
        self._context = None if cluster is None else cluster.context_name
        self._configuration: Configuration | None = None
        self._renewing = asyncio.Lock()
        self._failure: str | None = None
        self._failed_s = 0.0

    @property
    def token(self) -> str | None:
        """What requests are made with now; None where that is a certificate."""
        return None if self._configuration is None else self._configuration.api_key.get(_TOKEN)

    async def client(self) -> "ApiClient":
        """Read the kubeconfig, log in and give a client.

        Raises:
            ConfigException: There is no kubeconfig, or it does not let anybody in.
            ValueError: It is malformed, as are others of the errors that its library raises then.
        """
        from kubernetes_asyncio.client import ApiClient

        self._configuration = await self._logged_in()
        return ApiClient(self._configuration)

    async def renew(self, refused: str | None) -> bool:
        """Log in again, once for all requests that were refused with the same token; tell whether there is another.

        Raises:
            BackendError: Logging in fails.
        """
        async with self._renewing:
            if self._configuration is None or self.token != refused:
                return self._configuration is not None
            fresh = await self._logged_in_again()
            if fresh.api_key.get(_TOKEN) in (None, refused):
                return False
            self._configuration.api_key[_TOKEN] = fresh.api_key[_TOKEN]
            return True

    async def _logged_in_again(self) -> "Configuration":
        if self._failure is None or time.monotonic() > self._failed_s + _AGAIN_S:
            try:
                return await self._logged_in()
            except Exception as exc:  # noqa: BLE001 - whatever its library raises
                self._failed_s, self._failure = time.monotonic(), " ".join(str(exc).split()) or type(exc).__name__
            finally:
                remove_files()
        raise BackendError(
            "the credentials for the Kubernetes API server are no longer valid, and logging in again fails: "
            f"{self._failure}",
            hint="log in again, and try `kubectl get pods`",
            passing=True,
        )

    async def _logged_in(self) -> "Configuration":
        from kubernetes_asyncio.client import Configuration

        configuration, loader = Configuration(), self._loader()
        current = loader.current_context or {}
        self._context = self._context or current.get("name")  # kubectl may choose another one meanwhile
        await loader.load_and_set(configuration)
        return configuration

    def _loader(self) -> "KubeConfigLoader":
        from kubernetes_asyncio.config import kube_config

        if self._cluster is not None:
            return kube_config.KubeConfigLoader(
                self._cluster.config, active_context=self._context, config_base_path=None
            )
        files = kube_config.KubeConfigMerger(kube_config.KUBE_CONFIG_DEFAULT_LOCATION)
        return kube_config.KubeConfigLoader(
            files.config,
            active_context=self._context,
            config_base_path=None,
            config_persister=lambda _: files.save_changes(),
        )


def remove_files() -> None:
    """Remove the files with keys and certificates that reading a kubeconfig leaves."""
    from kubernetes_asyncio.config import kube_config

    kube_config._cleanup_temp_files()  # noqa: SLF001 - else only at an exit that a killed process never has
