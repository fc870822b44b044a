"""Hooks of MkDocs that add the model cards and ``CONTRIBUTING.md`` to the web site.

Links between pages are paths of the repository, so that they also work on a code host; the hooks convert them to paths of the site.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"\[([^\]]*)\]\((?![a-z]+:|#|/)([^)\s#]+)(#[^)\s]*)?\)")


def borrowed() -> dict[str, str]:
    """Return the files outside ``docs/`` that the site includes: path in the repository -> path in the site."""
    cards = sorted(path.name for path in (ROOT / "models").glob("*.md"))
    return {
        "CONTRIBUTING.md": "contributing.md",
        "LICENSE": "LICENSE.txt",
        "config/face.yaml": "config/face.yaml",
        **{f"models/{name}": f"models/{name}" for name in cards},
    }


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the borrowed files to those of ``docs/``."""
    from mkdocs.structure.files import File

    for source, place in borrowed().items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links of the repository into links of the site."""
    return site_links(markdown, page.file.src_uri)


def site_links(markdown: str, place: str) -> str:
    """Convert the links of the page at ``place`` in the site from paths of the repository to paths of the site.

    Links to files that the site does not include become plain text; dead links stay, so that ``mkdocs build --strict`` reports them.
    """
    places = {"README.md": "index.md", **borrowed()}
    home = next((source for source, site in borrowed().items() if site == place), f"docs/{place}")

    def moved(match: re.Match[str]) -> str:
        words, link, anchor = match[1], match[2], match[3] or ""
        target = posixpath.normpath(posixpath.join(posixpath.dirname(home), link))
        if (ROOT / target / "README.md").is_file():
            target = f"{target}/README.md"
        if target in places:
            target = places[target]
        elif target.startswith("docs/"):
            target = target.removeprefix("docs/")
        else:
            return words if (ROOT / target).exists() else match[0]
        return f"[{words}]({posixpath.relpath(target, posixpath.dirname(place) or '.')}{anchor})"

    return LINK.sub(moved, markdown)
