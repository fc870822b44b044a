"""Links, images, navigation and API reference of the documentation."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from support.documents import DOCS, PAGES, ROOT, anchors, links, name_of

import tddfa_ros

SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Import a module of ``scripts/``."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    yield importlib.import_module


# --- links ---


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_resolve(page: Path) -> None:
    wrong = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if target.is_dir():
            target = target / "README.md" if (target / "README.md").is_file() else target
        if not target.exists() or (anchor and anchor not in anchors(target)):
            wrong.append(link)
    assert wrong == []


def test_every_page_is_linked() -> None:
    """Every page is reachable by links from the README or the first page."""
    reached, open_pages = set(), [ROOT / "README.md", DOCS / "index.md"]
    while open_pages:
        page = open_pages.pop()
        if page in reached or not page.is_file():
            continue
        reached.add(page)
        for link in links(page):
            target = (page.parent / link.split("#")[0]).resolve()
            target = target / "README.md" if target.is_dir() else target
            if target.suffix == ".md":
                open_pages.append(target)
    assert sorted(name_of(page) for page in set(PAGES) - reached) == []


def test_images_are_used_and_small() -> None:
    shown = {(page.parent / link).resolve() for page in PAGES for link in links(page)}
    images = [path for path in DOCS.rglob("*") if path.suffix in (".jpg", ".png", ".gif")]
    assert images and [name_of(path) for path in images if path not in shown] == []
    assert [
        name_of(path) for path in (DOCS / "guide/images").iterdir() if path.stat().st_size > 200_000
    ] == []


# --- navigation ---


def entries(tree: Any) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    else:
        for branch in tree.values() if isinstance(tree, dict) else tree:
            yield from entries(branch)


def test_every_page_is_in_the_navigation_exactly_once(scripts: Any) -> None:
    borrowed = scripts("mkdocs_hooks").borrowed().values()
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    pages |= {place for place in borrowed if place.endswith(".md")}
    listed = list(entries(SITE["nav"]))
    assert sorted(listed) == sorted(pages)


def test_guide_index_links_all_pages() -> None:
    listed = {Path(link).name for link in links(DOCS / "guide/README.md")}
    assert {path.name for path in (DOCS / "guide").glob("*.md")} - {"README.md"} <= listed


# --- facts from the source ---


def test_qos_matches_the_source() -> None:
    nodes = {
        path.stem: path.read_text(encoding="utf-8")
        for path in (ROOT / "tddfa_ros/nodes").rglob("*.py")
    }
    table = (
        (DOCS / "ros/topics.md").read_text(encoding="utf-8").partition("## Quality of service")[2]
    )
    rows = [
        [cell.strip() for cell in row.split("|")[1:-1]] for row in re.findall(r"(?m)^\|.*$", table)
    ]
    said = {row[0].strip("`"): tuple(row[1:4]) for row in rows[2:]}

    def profile(module: str, start: str) -> tuple[str, str, str]:
        found = re.search(rf"{re.escape(start)}QoSProfile\((.*?)\n?\)", nodes[module], re.S)
        assert found, start
        depth = re.search(r"depth=(\d+)", found[1])
        assert depth
        return (
            "best effort" if "BEST_EFFORT" in found[1] else "reliable",
            "transient local" if "TRANSIENT_LOCAL" in found[1] else "volatile",
            depth[1],
        )

    assert said == {
        "images in": profile("image_input", "SENSOR_QOS = "),
        "faces, markers, points, overlay out": profile("face_publisher", "OUTPUT_QOS = "),
        "face_mesh/topology": profile("face_publisher", "LATCHED_QOS = "),
        "/tf_static": profile("face_publisher", "LATCHED_QOS = "),
        "/tf": profile("face_publisher", "TF_QOS = "),
        "/diagnostics": profile("diagnostics", '"/diagnostics", '),
    }


# --- links of the site ---


@pytest.mark.parametrize(
    ("place", "written", "wanted"),
    [
        ("training.md", "[a](../CONTRIBUTING.md)", "[a](contributing.md)"),
        ("training.md", "[a](../models)", "[a](models/README.md)"),
        ("guide/editing.md", "[a](../../models/tddfa_head.md#b)", "[a](../models/tddfa_head.md#b)"),
        ("guide/editing.md", "[a](meshes.md#b)", "[a](meshes.md#b)"),
        ("models/README.md", "[a](../docs/guide/speed.md)", "[a](../guide/speed.md)"),
        ("models/tddfa_head.md", "![a](../docs/demo.jpg)", "![a](../demo.jpg)"),
        ("contributing.md", "[a](docs/training.md)", "[a](training.md)"),
        ("contributing.md", "[a](models/tddfa_mb05.md)", "[a](models/tddfa_mb05.md)"),
        ("models/tddfa_mb05.md", "[config/training/](../config/training)", "config/training/"),
        ("index.md", "[a](nowhere.md) [b](https://c.org/d.md)", "[a](nowhere.md) [b](https://c.org/d.md)"),
    ],
)  # fmt: skip
def test_repository_links_become_site_links(
    scripts: Any, place: str, written: str, wanted: str
) -> None:
    assert scripts("mkdocs_hooks").site_links(written, place) == wanted


# --- the reference ---


def documented() -> list[str]:
    return [
        name
        for page in (DOCS / "api").glob("*.md")
        for name in re.findall(r"(?m)^::: (\S+)", page.read_text(encoding="utf-8"))
    ]


def find(name: str) -> Any:
    """Import the module, class, function or constant of a dotted name."""
    for end in range(name.count(".") + 1, 0, -1):
        parts = name.split(".")
        try:
            found: Any = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            found = getattr(found, part)
        return found
    raise ModuleNotFoundError(name)


def public() -> Iterator[tuple[str, Any]]:
    """Return the names in ``__all__`` of the package and its subpackages, except those that need extra libraries or ROS."""
    rooms = [tddfa_ros.__name__] + [
        f"{tddfa_ros.__name__}.{room.name}"
        for room in pkgutil.iter_modules(tddfa_ros.__path__)
        if room.ispkg
        and room.name not in ("cli", "demo", "model_builder", "nodes", "official", "training")
    ]
    for room in rooms:
        module = importlib.import_module(room)
        for name in getattr(module, "__all__", ()):
            yield f"{room}.{name}", getattr(module, name)


def test_api_reference_entries_exist_and_are_unique() -> None:
    names = documented()
    assert len(names) == len(set(names)) > 40
    for name in names:
        assert find(name) is not None


def test_every_public_name_is_in_the_api_reference() -> None:
    shown = documented()
    objects = [find(name) for name in shown]
    modules = [thing for thing in objects if isinstance(thing, ModuleType)]

    def is_shown(name: str, thing: Any) -> bool:
        if name in shown or any(thing is known for known in objects):
            return True
        # The reference resolves a name that is also a module to the module.
        return any(
            thing is value and not (Path(str(module.__file__)).parent / f"{key}.py").exists()
            for module in modules
            for key, value in vars(module).items()
        )

    assert [name for name, thing in public() if not is_shown(name, thing)] == []
