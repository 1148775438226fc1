"""The pages of the documentation, and the shell blocks in them with what the comment above each says.

`<!-- run -->` above a block: the test runs it. `<!-- run: in an empty place -->`: with nothing set up.
`<!-- not run: why -->`: only its syntax is checked. Pages in `COVERED` are run by a test of their own.
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")], key=lambda path: (path.parent != ROOT, str(path)))
COVERED = {
    "docs/api.md": "tests/webapp/test_api_docs.py",
    "docs/backup.md": "tests/flows/test_backup_drill.py",
    "docs/data.md": "tests/webapp/test_bars_documented.py",
}
BLOCK = re.compile(
    r"(?:^ *<!-- (?P<mark>(?:not )?run(?:: [^>]+)?) -->\n)?"
    r"^(?P<indent> *)```(?:sh|bash|shell|console)\n(?P<text>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """One shell block: its page and line, the comment above it ("" = none), and its text without the indentation."""

    page: str
    line: int
    mark: str
    text: str

    @property
    def where(self) -> str:
        """For messages of tests."""
        return f"{self.page}:{self.line}"


def name_of(path: Path) -> str:
    """Its name from the root of the repository."""
    return path.relative_to(ROOT).as_posix()


def blocks_of(path: Path) -> list[Block]:
    """Every shell block of the page, in order."""
    text = path.read_text(encoding="utf-8")
    return [
        Block(
            name_of(path),
            text.count("\n", 0, found.start("text")),
            found["mark"] or "",
            re.sub(rf"^{found['indent']}", "", found["text"], flags=re.MULTILINE),
        )
        for found in BLOCK.finditer(text)
    ]


BLOCKS = [block for path in PAGES for block in blocks_of(path)]
