"""README: length, links, figures, citation and licenses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

import tddfa_ros

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "docs/guide/*.md", "models/*.md")
    for path in ROOT.glob(pattern)
)  # fmt: skip


def test_make_targets_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    assert {"demo", "test"} <= targets
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        shown = re.findall(r"^    make ([a-z]+)", text, re.M) + re.findall(r"`make ([a-z]+)", text)
        assert set(shown) <= targets, path.name
    assert re.search(r"(?m)^    make demo\b", README) and re.search(r"(?m)^    make test\b", README)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_file_links_resolve(path):
    links = re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8"))
    files = [link.split("#")[0] for link in links if not re.match(r"https?:|#", link)]
    assert [file for file in files if not (path.parent / file).exists()] == []


def test_is_short_and_shows_the_animation_first():
    lines = README.splitlines()
    assert len(lines) <= 150
    shown = next(i for i, line in enumerate(lines) if "](docs/demo.webp)" in line)
    assert shown < 12
    data = (ROOT / "docs/demo.webp").read_bytes()
    assert data[8:12] == b"WEBP" and b"ANIM" in data[:64] and len(data) < 3e6


def test_figures_match_the_measuring_pages():
    """Every figure in the tables is also in docs/figures.md or on a model card."""
    rows = re.findall(
        r"(?m)^\| (?:`tddfa-mb\w+` \(|3DDFA_V2 mb05|error, AFLW|ms per)[^\n]*$", README
    )
    assert len(rows) == 5
    sources = [ROOT / "docs/figures.md", *(ROOT / "models").glob("*.md")]
    known = set(re.findall(r"\d+\.\d+", "".join(p.read_text(encoding="utf-8") for p in sources)))
    shown = [figure for row in rows for figure in re.findall(r"\d+\.\d+", row)]
    assert len(shown) > 25
    assert [figure for figure in shown if figure not in known] == []


def test_cites_project_and_paper():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["title"].startswith("tddfa_ros") and citation["license"] == "Apache-2.0"
    assert citation["version"] == tddfa_ros.__version__
    assert f"version = {{{tddfa_ros.__version__}}}" in README
    (paper,) = citation["references"]
    assert paper["title"] in README and paper["year"] == 2020
    names = [author["family-names"] for author in paper["authors"]]
    cited = re.search(r"author    = \{(Guo.*)\},", README)
    assert [name.split(",")[0] for name in cited[1].split(" and ")] == names


def test_every_model_card_states_its_license():
    entries = yaml.safe_load((ROOT / "models/manifest.yaml").read_text())["models"]
    for name, entry in entries.items():
        shipped = any(source["kind"] == "file" for source in entry["sources"])
        card = ROOT / "models" / (f"{Path(entry['file']).stem}.md" if shipped else "README.md")
        assert entry["license"] in card.read_text(encoding="utf-8"), name
        assert re.search(rf"`?{name}`?.*\| {re.escape(entry['license'])} \|", README) or not shipped
