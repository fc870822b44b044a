"""What the web site has beyond ``docs/``: the model cards and ``CONTRIBUTING.md``, at places of their own (hooks of MkDocs).

Links between all these pages are written as paths of the repository, so that they lead somewhere on a code host too; here they
become paths of the site.
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
    """Files outside ``docs/`` that the site shows: path in the repository -> path in the site."""
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
    """The text of the page at ``place`` in the site, with every link between files as the site has them.

    What is in the repository and not in the site loses its link; a link to nothing stays, and ``mkdocs build --strict`` names it.
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
