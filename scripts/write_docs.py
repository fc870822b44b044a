"""Renew those parts of the pages in ``docs/`` that are the README's own words and tables.

python scripts/write_docs.py     # after a change of README.md (and after scripts/write_readme_tables.py)

Each part lies between ``<!-- README: name -->`` and ``<!-- /README: name -->``. The name is that of a table of the README, as between
its ``<!-- name -->`` and ``<!-- /name -->``, or a heading, for the text below it up to the next heading of any level.
"""

from __future__ import annotations

import posixpath
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PART = re.compile(r"(<!-- README: ([^>]+) -->\n).*?(<!-- /README: \2 -->)", re.S)
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#|/)([^)\s#]+)(?=[)#])")


def pages() -> list[Path]:
    """All pages that hold a part of the README."""
    found = sorted((ROOT / "docs").rglob("*.md"))
    return [page for page in found if "<!-- README: " in page.read_text(encoding="utf-8")]


def render(text: str, page: Path, readme: str) -> str:
    """``text`` of ``page`` with every part renewed from the text of the README.

    Raises:
        ValueError: the README has no such table or heading, or has it twice, or a part has no end.
    """
    if len(PART.findall(text)) != text.count("<!-- README: "):
        raise ValueError(f"{page.name}: a part of the README has no end")
    folder = posixpath.dirname(page.resolve().relative_to(ROOT).as_posix())

    def renewed(match: re.Match[str]) -> str:
        words = LINK.sub(lambda link: posixpath.relpath(link[1], folder), part(match[2], readme))
        return f"{match[1]}\n{words}\n\n{match[3]}"

    return PART.sub(renewed, text)


def part(name: str, readme: str) -> str:
    """A table, or the text below a heading, of the README; without comments and folding.

    Raises:
        ValueError: the README does not have it exactly once.
    """
    table = re.findall(rf"^<!-- {re.escape(name)} -->\n(.*?)^<!-- /", readme, re.S | re.M)
    section = re.findall(rf"^#+ {re.escape(name)}\n(.*?)(?=^#+ |\Z)", readme, re.S | re.M)
    if len(table) + len(section) != 1:
        raise ValueError(f"README.md must have '{name}' exactly once, as a table or a heading")
    words = re.sub(r"^<!-- .* -->\n", "", (table + section)[0], flags=re.M)
    return re.sub(r"\n{3,}", "\n\n", words).strip("\n")


if __name__ == "__main__":
    for page in pages():
        old = page.read_text(encoding="utf-8")
        new = render(old, page, (ROOT / "README.md").read_text(encoding="utf-8"))
        if new != old:
            page.write_text(new, encoding="utf-8")
            print(f"wrote {page.relative_to(ROOT)}", file=sys.stderr)
