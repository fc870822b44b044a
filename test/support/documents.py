"""Parse documentation pages: code blocks, commands, links, headings."""

from __future__ import annotations

import re
import shlex
import textwrap
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    {
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *DOCS.rglob("*.md"),
        *(ROOT / "models").glob("*.md"),
    }
)

_FENCE = re.compile(r"^( *)(`{3,})(\w*)[^\n]*\n(.*?)^\1\2 *$", re.S | re.M)


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@dataclass(frozen=True)
class Block:
    """A code block; ``language`` is "" for indented blocks and fences without a language."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def where(self) -> str:
        return f"{name_of(self.page)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """Yield all code blocks of a page, fenced or indented by four spaces."""
    text = page.read_text(encoding="utf-8")
    found = [
        Block(page, line_of(text, match.start()) + 1, match[3], textwrap.dedent(match[4]))
        for match in _FENCE.finditer(text)
    ]
    plain = _FENCE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
    # Below a list item, indented text is the item's own.
    for match in re.finditer(r"(?:(?<=\n\n)|^)((?: {4}[^\n]*\n|\s*\n(?= {4}\S))+)", plain):
        if match[0].strip() and not plain[: match.start()].rstrip().rpartition("\n")[2].startswith(
            ("-", "1.", ":::")
        ):
            code = textwrap.dedent(match[0])
            language = "python" if re.match(r"\s*(from|import) ", code) else ""
            found.append(Block(page, line_of(text, match.start()), language, code))
    return sorted(found, key=lambda block: block.line)


def line_of(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def commands(block: Block) -> Iterator[tuple[str, list[str]]]:
    """Yield position and words of every command of a shell block."""
    if block.language not in ("", "bash", "sh", "shell", "console"):
        return
    lines = re.sub(r"\\\n\s*", " ", block.text).splitlines()
    for line in lines:
        try:
            words = split(line)
        except ValueError:  # a drawing, or a quotation
            continue
        while words and re.fullmatch(r"[A-Z_][A-Z0-9_]*=\S*", words[0]):
            words.pop(0)
        if words:
            yield f"{block.where}: {line.strip()}", words


def split(line: str) -> list[str]:
    """Split a shell line into words, without its comment.

    Raises:
        ValueError: a quotation mark is not closed.
    """
    return shlex.split(re.sub(r"(^|\s)#.*$", "", line))


def tddfa_words(words: list[str]) -> list[str] | None:
    """Return the arguments of ``tddfa`` in a command, for all its names; None for other programs."""
    for start in (["tddfa"], ["python", "-m", "tddfa_ros"], ["ros2", "run", "tddfa_ros", "tddfa"]):
        if words[: len(start)] == start:
            return words[len(start) :]
    if words[0] == "torchrun" and "tddfa_ros" in words:
        return words[words.index("tddfa_ros") + 1 :]
    return None


def spans(page: Path) -> Iterator[tuple[str, str]]:
    """Yield position and text of every inline code span of a page."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    for match in re.finditer(r"(?<!`)`([^`\n]+)`(?!`)", text):
        yield f"{name_of(page)}: {match[0]}", match[1]


def links(page: Path) -> list[str]:
    """Return the targets of all links and images of a page to files or headings, except in code."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    text = re.sub(r"(?m)^ {4}.*$", "", text)
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"[a-z]+:", link)]


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings of a page, as code hosts and MkDocs generate them."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    return {slug(heading) for heading in re.findall(r"(?m)^#+ +(.*?) *#*$", text)}


def slug(heading: str) -> str:
    words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    words = unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", words).strip().lower())
