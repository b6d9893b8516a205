"""The project's pages and the blocks of code in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))

_FENCE = re.compile(r"^```(?P<language>.*)$")
_NOT_RUN = re.compile(r"<!-- not run: (?P<reason>.+?) -->")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page.

    Attributes:
        line: of its fence, the page's first line being 1.
        language: what stands behind the fence, `json example` for example.
        text: what is in it, ending with a line break.
        not_run: why it is not run, as the comment before it says; empty where there is none.
    """

    line: int
    language: str
    text: str
    not_run: str = ""


def blocks(page: str) -> list[Block]:
    """All fenced blocks of a page's text, in order."""
    found: list[Block] = []
    fence: tuple[int, str] | None = None
    inside: list[str] = []
    reason = ""
    for number, line in enumerate(page.splitlines(), start=1):
        match = _FENCE.match(line)
        if fence is None and match:
            fence, inside = (number, match["language"].strip()), []
        elif fence is not None and match:
            found.append(Block(*fence, "".join(f"{one}\n" for one in inside), reason))
            fence, reason = None, ""
        elif fence is not None:
            inside.append(line)
        elif line.strip():
            told = _NOT_RUN.fullmatch(line.strip())
            reason = told["reason"] if told else ""
    return found


def commands(block: Block) -> str:
    """What a shell is to run: a console block's lines behind `$ `, with the lines that they go on in."""
    if block.language == "bash":
        return block.text
    taken, goes_on = [], False
    for line in block.text.splitlines():
        if goes_on or line.startswith("$ "):
            taken.append(line if goes_on else line.removeprefix("$ "))
            goes_on = line.endswith("\\")
    return "".join(f"{line}\n" for line in taken)


def name_of(page: Path) -> str:
    """A page's name for people: its path below the project."""
    return str(page.relative_to(ROOT))
