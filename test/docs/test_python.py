"""Python blocks of the documentation: they compile, imported names exist, and most blocks are run."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from support.documents import PAGES, ROOT, Block, blocks
from support.page_runner import write_video

from tddfa_ros import FacePipeline
from tddfa_ros.demo.samples import write_samples
from tddfa_ros.errors import ModelError
from tddfa_ros.jobs.images import ImageOptions, process_images
from tddfa_ros.outputs.registry import OUTPUTS
from tddfa_ros.video import VideoOptions, annotate_video

BLOCKS = [block for page in PAGES for block in blocks(page) if block.language == "python"]
NAMES = [block.where for block in BLOCKS]

NOT_RUN = {
    "README.md": "test_pages_run.py runs it after the commands that write its files",
    "docs/faq.md": "the same",
    "docs/quickstart.md": "the same",
    "docs/ros/README.md": "waits for messages",
    "docs/guide/detectors.md": "needs a detector of the user's",
    "docs/guide/official_weights.md": "needs the user's weights",
}


def test_finds_python_blocks() -> None:
    assert len(BLOCKS) > 12


@pytest.mark.parametrize("block", BLOCKS, ids=NAMES)
def test_names_and_arguments_exist(block: Block) -> None:
    tree = ast.parse(block.text, block.where)
    known: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tddfa_ros"):
            module = importlib.import_module(str(node.module))
            for alias in node.names:
                known[alias.asname or alias.name] = getattr(module, alias.name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (called := resolve(node.func, known)) is not None:
            given = [None] * len([a for a in node.args if not isinstance(a, ast.Starred)])
            named = {str(word.arg): None for word in node.keywords if word.arg}
            inspect.signature(called).bind_partial(*given, **named)


def resolve(node: ast.expr, known: dict[str, Any]) -> Any:
    """Return the object of ``name`` or ``name.attribute`` if the name was imported from this package; else None."""
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.Attribute) and (owner := resolve(node.value, known)) is not None:
        return getattr(owner, node.attr)
    return None


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("from tddfa_ros import FacePipe", AttributeError),
        ("from tddfa_ros.exports import write_obj", ModuleNotFoundError),
        ("from tddfa_ros import FacePipeline\nFacePipeline.from_yaml('a')", AttributeError),
        ("from tddfa_ros.export import write_obj\nwrite_obj('a', 1, color=2)", TypeError),
        ("from tddfa_ros import FacePipeline\nFacePipeline(", SyntaxError),
    ],
)
def test_detects_wrong_blocks(text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        test_names_and_arguments_exist(Block(ROOT / "README.md", 1, "python", text))


# --- running them ---


@pytest.fixture(scope="module")
def pipeline() -> FacePipeline:
    try:
        made = FacePipeline()
        made.detector  # noqa: B018 - its model is fetched here
    except ModelError as error:
        pytest.skip(f"a model cannot be had here: {error}")
    return made


@pytest.fixture
def workplace(
    tmp_path: Path, astronaut: np.ndarray, pipeline: FacePipeline, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, Any]]:
    """Return a folder with the files, and the variables, that the blocks assume."""
    for place in ("photo.jpg", "photos/a.jpg", "more/deep/b.png"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / place), astronaut)
    write_video(tmp_path / "video.mp4", astronaut, 4)
    shutil.copy(tmp_path / "video.mp4", tmp_path / "talk.mp4")
    write_samples(tmp_path / "samples")
    shutil.copy(tmp_path / "samples/astronaut.png", tmp_path / "open.jpg")
    shutil.copy(ROOT / "models/tddfa_mb05.onnx", tmp_path / "small.onnx")
    options = ImageOptions(outputs=("json",))
    process_images([tmp_path / "photo.jpg"], tmp_path / "earlier", pipeline, options)
    annotate_video(
        str(tmp_path / "video.mp4"), None, pipeline, VideoOptions(json=tmp_path / "smooth.jsonl")
    )
    monkeypatch.chdir(tmp_path)
    before = set(OUTPUTS)
    yield {
        "__name__": "documents",
        "face": pipeline(astronaut)[0],
        "image": astronaut,
        "other": astronaut[:, ::-1].copy(),
        "paths": ["photo.jpg"],
        "photo": astronaut,
        "pipeline": pipeline,
        "stored": json.loads((tmp_path / "earlier/faces.json").read_text()),
    }
    for name in set(OUTPUTS) - before:
        del OUTPUTS[name]


def pages_to_run() -> list[Path]:
    pages = dict.fromkeys(block.page for block in BLOCKS)
    return [page for page in pages if page.relative_to(ROOT).as_posix() not in NOT_RUN]


def test_unexecuted_blocks_exist() -> None:
    assert {block.page.relative_to(ROOT).as_posix() for block in BLOCKS} >= set(NOT_RUN)


@pytest.mark.parametrize("page", pages_to_run(), ids=lambda page: page.stem)
def test_python_blocks_run_in_order(page: Path, workplace: dict[str, Any]) -> None:
    for module in ("pygltflib", "trimesh") if page.stem == "meshes" else ():
        pytest.importorskip(module)
    for block in BLOCKS:
        if block.page == page:
            exec(compile(block.text, block.where, "exec"), workplace)
