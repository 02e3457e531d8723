"""Pages of the site that lie at the root of the repository, where people look for them."""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT_PAGES = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Return the files of the site with these pages, whose links start from the folder of the documentation."""
    root = Path(config.config_file_path).parent
    for source, page in ROOT_PAGES.items():
        files.append(File.generated(config, page, content=_moved((root / source).read_text("utf-8"))))
    return files


def _moved(text: str) -> str:
    inside = re.sub(r"\]\(docs/", "](", text)
    return re.sub(r"\]\((" + "|".join(ROOT_PAGES) + r")", lambda found: f"]({ROOT_PAGES[found[1]]}", inside)
