"""Rewriting of docstrings for the API reference."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("griffe", reason="MkDocs is not installed: run `make docs`")


@pytest.fixture
def extension(monkeypatch: pytest.MonkeyPatch, repo_root: Path) -> Any:
    monkeypatch.syspath_prepend(str(repo_root / "scripts"))
    return importlib.import_module("griffe_docstrings")


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        (":class:`~tddfa_ros.face.Face` here", "`Face` here"),
        ("see :func:`geometry.pose.compose`", "see `geometry.pose.compose`"),
        ("plain `name`, ``code``", "plain `name`, ``code``"),
    ],
)
def test_sphinx_roles_become_names(extension: Any, written: str, wanted: str) -> None:
    assert extension.plain_names(written) == wanted


def test_arguments_on_one_line_are_split(extension: Any) -> None:
    written = (
        "Words. note: stays.\n\nArgs:\n    low, high: limits, px;\n        inclusive.\n"
        "    shape: of it, (h, w). fill: color.\n\nRaises:\n    ImageError: a: b. ModelError: c.\n"
    )
    assert extension.one_by_one(written) == (
        "Words. note: stays.\n\nArgs:\n    low: limits, px;\n        inclusive.\n"
        "    high: limits, px;\n        inclusive.\n    shape: of it, (h, w).\n    fill: color.\n\n"
        "Raises:\n    ImageError: a: b.\n    ModelError: c.\n"
    )


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("option(0.5, 'least score', minimum=0.0, maximum=1.0)", ("0.5", "Least score (0.0 to 1.0).")),
        ("option('a', 'a way', choices=('a', 'b'))", ("'a'", "A way ('a', 'b').")),
        ("option(FOV, 'an angle', runtime=False)", ("FOV", "An angle.")),
        ("field(default=3)", None),
        ("None", None),
    ],
)  # fmt: skip
def test_options_are_described(extension: Any, source: str, wanted: tuple[str, str] | None) -> None:
    assert extension.option_text(source) == wanted
