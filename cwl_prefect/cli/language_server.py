"""The command ``lsp``: a language server on the standard streams, for editors."""

from cwl_prefect.cli.failures import settings_with
from cwl_prefect.errors import UsageError


def serve() -> None:
    """Serve an editor until it says that this ends.

    Raises:
        UsageError: What a language server needs is not installed.
    """
    settings = settings_with({})
    try:
        from cwl_prefect.editor.server import server_for_editors
    except ImportError as error:
        raise UsageError(
            f"The language server is not installed: {error}.", hint="Run `pip install 'cwl-prefect[lsp]'`."
        ) from error
    server_for_editors(settings).start_io()
