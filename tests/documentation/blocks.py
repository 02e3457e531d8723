"""The examples in the documentation, as tests find them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[2]
PAGES = sorted([PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *(PROJECT / "docs").rglob("*.md")])

BLOCK = re.compile(
    r"(?:^<!-- (?P<note>[^\n]*) -->\n)?^```(?P<language>sh|python|toml)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One block of code in a page; a comment before it can say `exit code N`, `needs docker` or `needs a store`."""

    page: Path
    line: int
    language: str
    text: str
    note: str

    @property
    def name(self) -> str:
        """Where it stands."""
        return f"{self.page.relative_to(PROJECT)}:{self.line}"

    @property
    def exit_code(self) -> int:
        """What the last command is said to exit with."""
        found = re.search(r"exit code (\d+)", self.note)
        return int(found[1]) if found else 0

    @property
    def lines(self) -> list[str]:
        """Its commands, without comments."""
        bare = (line.split("  #")[0].strip() for line in self.text.splitlines())
        return [line for line in bare if line and not line.startswith("#")]


def blocks(language: str) -> Iterator[Block]:
    """Find all blocks of a language in the documentation."""
    for page in PAGES:
        text = page.read_text("utf-8")
        for match in BLOCK.finditer(text):
            if match["language"] == language:
                line = text.count("\n", 0, match.start("text")) + 1
                yield Block(page=page, line=line, language=language, text=match["text"], note=match["note"] or "")


def section(page: Path, name: str) -> str:
    """Give what stands between `<!-- name: begin -->` and `<!-- name: end -->`."""
    text = page.read_text("utf-8")
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    return text[text.index(begin) + len(begin) : text.index(end)]


def replace_section(page: Path, name: str, content: str) -> None:
    """Write what stands between the marks."""
    text = page.read_text("utf-8")
    page.write_text(
        text.replace(f"{section(page, name)}<!-- {name}: end -->", f"{content}<!-- {name}: end -->"), "utf-8"
    )
