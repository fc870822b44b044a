"""Messages in the tables "Common problems" exist in the source."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest
from support.documents import PAGES, ROOT, name_of

HEADS = ("message", "warning")
LEAST_FIXED = 0.25
"""Minimum share of fixed text in the template of a message; a template such as ``"{a}: {b}"`` matches anything."""


def templates() -> Iterator[tuple[re.Pattern[str], int]]:
    """Yield every string of the package as a regular expression, with the length of its fixed text."""
    for path in (ROOT / "tddfa_ros").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                fixed = [v.value if isinstance(v, ast.Constant) else None for v in node.values]
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                fixed = [node.value]
            else:
                continue
            pattern = "".join(".*" if text is None else re.escape(str(text)) for text in fixed)
            yield re.compile(pattern, re.S), sum(len(str(t)) for t in fixed if t is not None)


@pytest.fixture(scope="module")
def known() -> list[tuple[re.Pattern[str], int]]:
    return [item for item in templates() if item[1] > 8]


def shown(text: str) -> list[str]:
    """Return the first cells, without backticks and ``error: ``, of all tables whose first heading is in :data:`HEADS`."""
    found, inside = [], False
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        inside = bool(cells) and (inside or cells[0] in HEADS)
        if inside and cells[0].startswith("`"):
            found.append(cells[0].strip("`").removeprefix("error: "))
    return found


MESSAGES = [(name_of(page), m) for page in PAGES for m in shown(page.read_text(encoding="utf-8"))]


def exists(message: str, known: list[tuple[re.Pattern[str], int]]) -> bool:
    # A reason may follow other words or a file name: "no window: there is no display", "a.jpg is empty".
    first, _, rest = message.partition(" ")
    named = rest if re.fullmatch(r"\w+\.\w{3,4}", first) else ""
    parts = (message, f"{message}.", message.partition(": ")[2], named)
    return any(
        fixed >= LEAST_FIXED * len(part) and pattern.fullmatch(part)
        for part in parts
        if part
        for pattern, fixed in known
    )


@pytest.mark.parametrize(("page", "message"), MESSAGES)
def test_documented_messages_exist_in_the_source(
    page: str, message: str, known: list[tuple[re.Pattern[str], int]]
) -> None:
    assert exists(message, known)


def test_finds_documented_messages() -> None:
    assert len(MESSAGES) > 20


def test_detects_unknown_messages(
    known: list[tuple[re.Pattern[str], int]],
) -> None:
    assert not exists("out/a.jpg is already there; use --force to replace it", known)
    assert shown("| message | fix |\n|---|---|\n| `error: x` | y |\n\n| `z` | y |\n") == ["x"]
