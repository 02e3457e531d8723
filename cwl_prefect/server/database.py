"""A database that the local server can start on at once, instead of making one by hundreds of migrations.

The package carries an empty database made by one Prefect release. A later release migrates it on; an earlier one, which
does not know its revision, makes its own. ``python -m cwl_prefect.server.database`` writes it anew for the
installed Prefect.
"""

import gzip
import os
import sqlite3
import sys
import tempfile
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

from cwl_prefect._lib.atomic_write import write_whole
from cwl_prefect._lib.own_files import make_private

TEMPLATE = Path(__file__).with_name("database.sqlite.gz")


def prepare_database(database: Path) -> bool:
    """Put an empty, migrated database where there is none, and tell whether that was done.

    Raises:
        OSError: The database's directory cannot be written.
    """
    if database.exists() or not TEMPLATE.exists():
        return False
    make_private(database.parent)
    part = database.with_suffix(f".{os.getpid()}.part")
    with gzip.open(TEMPLATE) as packed:
        write_whole(part, packed.read())
    if not is_known_revision(revision_of(part)):
        part.unlink()
        return False
    part.replace(database)
    return True


def revision_of(database: Path) -> str:
    """Return the migration that a Prefect database is at."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(revision)


def is_known_revision(revision: str) -> bool:
    """Check whether the installed Prefect has this migration, without importing Prefect."""
    spec = find_spec("prefect")
    if spec is None or spec.origin is None:
        return False
    versions = Path(spec.origin).parent / "server" / "database" / "_migrations" / "versions" / "sqlite"
    return next(versions.glob(f"*_{revision}_*.py"), None) is not None


def build_template(target: Path) -> None:
    """Write the database that the installed Prefect makes on its first start, with its block types registered.

    Call it in a process whose ``PREFECT_HOME`` is an empty directory: Prefect reads its settings once.
    """
    import asyncio

    from prefect.server.database import provide_database_interface
    from prefect.server.models.block_registration import run_block_auto_registration
    from prefect.settings import get_current_settings

    async def migrate() -> None:
        """Let Prefect make its database."""
        database = provide_database_interface()
        await database.create_db()
        async with await database.session() as session:
            await run_block_auto_registration(session=session)

    asyncio.run(migrate())
    with tempfile.TemporaryDirectory() as scratch:
        compact = Path(scratch) / "compact.db"
        with closing(sqlite3.connect(get_current_settings().home / "prefect.db")) as connection:
            connection.execute("VACUUM INTO ?", (str(compact),))
        with target.open("wb") as out, gzip.GzipFile(filename="", mode="wb", fileobj=out, mtime=0) as packed:
            packed.write(compact.read_bytes())


if __name__ == "__main__":
    build_template(Path(sys.argv[1]) if len(sys.argv) > 1 else TEMPLATE)
