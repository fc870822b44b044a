"""The README: short, with links that lead somewhere, figures that ``docs/figures.md`` has, and an example that runs."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "docs/guide/*.md", "models/*.md")
    for path in ROOT.glob(pattern)
)  # fmt: skip


# --- everything else that can be checked ---


def test_the_commands_are_in_the_makefile():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    assert {"demo", "test"} <= targets
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        shown = re.findall(r"^    make ([a-z]+)", text, re.M) + re.findall(r"`make ([a-z]+)", text)
        assert set(shown) <= targets, path.name
    assert "    make demo\n" in README and "    make test\n" in README


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_to_files_lead_somewhere(path):
    links = re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8"))
    files = [link.split("#")[0] for link in links if not re.match(r"https?:|#", link)]
    assert [file for file in files if not (path.parent / file).exists()] == []


def test_the_picture_is_at_the_top():
    assert README.splitlines()[2].endswith("(docs/demo.jpg)")


def test_our_own_figures_are_there():
    assert re.search(r"^\|.*`tddfa-mb05`.*\d\.\d\d", block("accuracy"), re.M), (
        "accuracy of tddfa-mb05"
    )
    assert re.search(r"^\|.*\|\s*[\d.]+ ?(ms)?\s*\|", block("speed"), re.M), "speed"


def test_the_card_of_every_model_that_is_shipped_states_its_license():
    entries = yaml.safe_load((ROOT / "models/manifest.yaml").read_text())["models"]
    for name, entry in entries.items():
        shipped = any(source["kind"] == "file" for source in entry["sources"])
        card = ROOT / "models" / (f"{Path(entry['file']).stem}.md" if shipped else "README.md")
        assert entry["license"] in card.read_text(encoding="utf-8"), name
        assert re.search(rf"`?{name}`?.*\| {re.escape(entry['license'])} \|", README) or not shipped


def test_the_python_example_runs(tmp_path, monkeypatch, astronaut, capsys):
    cv2 = pytest.importorskip("cv2")
    from tddfa_ros.errors import ModelError
    from tddfa_ros.model_store.store import default_store

    try:
        for name in ("centerface", "tddfa-head", "tddfa-mb05"):
            default_store().path(name)
    except ModelError as error:
        pytest.skip(f"a model cannot be had here: {error}")
    cv2.imwrite(str(tmp_path / "photo.jpg"), astronaut)
    video = cv2.VideoWriter(
        str(tmp_path / "video.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 25, astronaut.shape[1::-1]
    )
    for _ in range(4):
        video.write(astronaut)
    video.release()
    code = re.search(r"```python\n(.*?)```", README, re.S).group(1)
    (tmp_path / "config").mkdir()
    shutil.copy(ROOT / "config/face.yaml", tmp_path / "config")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(code, names)
    shown = capsys.readouterr().out
    assert "(68, 3) (16247, 3)" in shown and "\nf1 [" in shown
    assert (tmp_path / "face.obj").stat().st_size > 1e5
    assert 175 < names["face"].landmarks68[30, 0] < 270  # the tip of the nose lies within the face
