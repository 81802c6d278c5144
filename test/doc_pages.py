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


def shell_lines() -> list[tuple[str, str]]:
    """(page, command line) of the blocks without a language, without comments."""
    lines = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
        shell = "".join(block for language, block in blocks if language in ("", "bash"))
        stripped = (re.sub(r"(^|\s)#.*", "", line).strip() for line in shell.splitlines())
        lines += [(page.name, line) for line in stripped if line]
    return lines
