"""Credentials of registries: those of a work pool, and those that ``docker login`` keeps."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryLogin:
    """Credentials of a registry, as the work pool's template gives them."""

    username: str
    password: str = field(repr=False)
    registry_url: str

    def auth_for(self, image: str) -> dict[str, str] | None:
        """Return the credentials for pulling an image, or None where it comes from another registry."""
        from docker.auth import resolve_index_name, resolve_repository_name

        address = self.registry_url.partition("://")[2] or self.registry_url
        registry, _ = resolve_repository_name(image)
        if resolve_index_name(address.partition("/")[0]) != registry:
            return None
        return {"username": self.username, "password": self.password}


def pull_headers(image: str, login: RegistryLogin | None) -> dict[str, str]:
    """Return what proves to an image's registry who pulls; blocks, for a credential helper may be asked.

    Args:
        image: Name of the image.
        login: Credentials of the work pool, which go before the user's own.
    """
    from docker.auth import encode_header, load_config, resolve_repository_name

    found = login.auth_for(image) if login is not None else None
    if found is None:
        registry, _ = resolve_repository_name(image)
        found = load_config().resolve_authconfig(registry)
    return {"X-Registry-Auth": encode_header(found).decode()} if found else {}


def build_headers() -> dict[str, str]:
    """Return the user's credentials of all registries, since a build may pull from any; blocks."""
    from docker.auth import INDEX_NAME, INDEX_URL, encode_header, load_config

    found = load_config().get_all_credentials()  # type: ignore[no-untyped-call]
    if INDEX_NAME in found:
        found.setdefault(INDEX_URL, found[INDEX_NAME])
    return {"X-Registry-Config": encode_header(found).decode()} if found else {}
