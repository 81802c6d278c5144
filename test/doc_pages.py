"""The pages of the documentation, and the commands in them."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def code(page: Path) -> list[str]:
    """Blocks and spans of code of a page. Lines that end in a backslash are joined."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    return ["".join(parts) for parts in re.findall(r"```[^\n]*\n(.*?)```|`([^`\n]+)`", text, re.DOTALL)]


def commands(pattern: str) -> Iterator[tuple[str, str]]:
    """(page, name) of every command that matches; one group in the pattern is the name."""
    for page in PAGES:
        for text in code(page):
            yield from ((page.name, name) for name in re.findall(pattern, text, re.MULTILINE))


def shell_lines(page: Path) -> list[str]:
    """Command lines of the blocks without a language or in bash, without comments."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = re.findall(r"^```(?:bash)?\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for block in blocks for line in block.splitlines())
    return [line for line in lines if line]
